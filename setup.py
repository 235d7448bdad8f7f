"""Packages are found here because the CUDA sources are a package in a folder of their own."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["kernprof", "kernprof.*"]), "kernprof.kernels"])
