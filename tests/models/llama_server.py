"""python llama_server.py MODEL.gguf PORT KEY SLOTS: llama.cpp's own server (xllamacpp) on 127.0.0.1, one thread."""

import sys
import threading

import xllamacpp

path, port, key, slots = sys.argv[1:]
options = xllamacpp.CommonParams()
options.model.path, options.model_alias = path, ["smollm2"]
options.hostnames, options.port = ["127.0.0.1"], int(port)
options.api_keys = [key]  # without one any page in a browser could ask it
options.cors_origins = f"http://127.0.0.1:{port}"
options.n_parallel, options.n_ctx, options.cache_ram_mib = int(slots), 1024 * int(slots), 64
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(options)
threading.Event().wait()
