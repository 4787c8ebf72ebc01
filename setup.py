"""What setuptools needs to know beyond pyproject.toml: how the codec's fast implementation is compiled.

It is optional: where Cython or a C++17 compiler is missing, the package is installed without it and runs on the
readable implementation.
"""

import os
from glob import glob

from setuptools import Extension, setup

try:
    from Cython.Build import cythonize
except ImportError:
    cythonize = None

CODEC = "otelingest/codec"
COMPILE = ["-std=c++17", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-cast-function-type"]
FAST = ["-O3", "-g0"]
SANITIZERS = ["-fsanitize=address,undefined"]
SANITIZE = [*SANITIZERS, "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"]
sanitize = bool(os.environ.get("OTELINGEST_SANITIZE"))

extensions = [
    Extension(
        f"otelingest.codec.{name}",
        [f"{CODEC}/{name}.pyx"],
        include_dirs=[CODEC],
        depends=sorted(glob(f"{CODEC}/native/*.hpp") + glob(f"{CODEC}/{name}_*.pxi")),
        language="c++",
        extra_compile_args=COMPILE + (SANITIZE if sanitize else FAST),
        extra_link_args=SANITIZERS if sanitize else [],
        optional=not sanitize,
    )
    for name in ("_native", "_editing")
]

setup(ext_modules=cythonize(extensions, build_dir="build/cython") if cythonize else [])
