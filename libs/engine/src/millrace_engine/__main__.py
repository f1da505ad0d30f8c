"""Compile the kernels into their cache: `python -m millrace_engine`."""

from millrace_engine.warm import compile_kernels

if __name__ == "__main__":
    compile_kernels()
