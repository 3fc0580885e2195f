"""Views: widgets call the public functions of workbench.papers and hold no method of their own."""
