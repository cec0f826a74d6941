"""Packaging of tfcaml. Settings of the tools are in pyproject.toml."""

import pathlib

import setuptools

HERE = pathlib.Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "tfcaml" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setuptools.setup(
    name="tfcaml",
    version=VERSION,
    description="Meta-reinforcement learning for TensorFlow and TF-Agents",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["tfcaml", "tfcaml.*"]),
    package_data={"tfcaml": ["py.typed"], "tfcaml.environments.glucose": ["data/*"]},
    # tf-agents 0.19 pins pygame 2.1.3, which has no wheels for Python 3.12.
    python_requires=">=3.10,<3.12",
    install_requires=[
        "absl-py",
        "matplotlib",
        "ml-collections",
        "numpy>=1.26,<2.4",
        "rich",
        "scikit-learn",
        "scipy",
        "tensorboard",
        "tensorflow>=2.15,<2.22",
        "tensorflow-probability>=0.23,<0.24",
        "tf-agents==0.19.0",
        "tf-keras>=2.15,<2.22",
        "threadpoolctl",
    ],
    extras_require={
        # Needed by the families and tools of the same name only. ale-py is GPL.
        "atari": ["ale-py"],
        "browser": ["selenium"],  # tests only
        "dev": ["gymnasium>=1.3,<1.4", "hypothesis", "mypy", "pytest", "pytest-xdist", "ruff"],
        "gym": ["gymnasium>=1.3,<1.4"],
        "mujoco": ["gymnasium>=1.3,<1.4", "imageio", "mujoco>=4.0,<5"],
        "ray": ["ray>=2.60"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
