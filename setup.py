"""What pyproject.toml cannot say: conf/ stands at the top of the repository and travels in the package as sr/conf."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["sr", "sr.*"]), "sr.conf"], package_dir={"sr.conf": "conf"})
