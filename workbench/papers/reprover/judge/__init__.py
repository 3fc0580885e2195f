"""The last word on a proof, in a process of its own: compiled files read without Lean, then asked of Lean's kernel.

Nothing here imports the rest of the workbench, nor anything but the standard library: what decides is these files.

- `terms`: Lean's terms as plain Python values. `olean`: a reader of compiled files.
- `kernel`: Lean's kernel alone, called as a library. `verdict`: what is asked of it; the process's main function.
"""
