"""Packaging of tfcaml. Settings of the tools are in pyproject.toml.

The folders `launchers/` and `configs/` of a checkout are installed as `tfcaml.launchers` and
`tfcaml.configs`.
"""

import pathlib

import setuptools

HERE = pathlib.Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "tfcaml" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
INSIDE = {f"tfcaml.{folder}": folder for folder in ("launchers", "configs")}

setuptools.setup(
    name="tfcaml",
    version=VERSION,
    description="Meta-reinforcement learning for TensorFlow and TF-Agents",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The tfcaml authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="meta-learning meta-reinforcement-learning tensorflow tf-agents",
    packages=[
        *setuptools.find_packages(include=["tfcaml", "tfcaml.*"]),
        *INSIDE,
        *(
            f"{package}.{name}"
            for package, folder in INSIDE.items()
            for name in setuptools.find_packages(folder)
        ),
    ],
    package_dir={**INSIDE},
    package_data={
        "tfcaml": ["py.typed"],
        "tfcaml.environments.glucose": ["data/*"],
        "tfcaml.environments.supervised": ["data/*"],
    },
    entry_points={"console_scripts": ["tfcaml = tfcaml.launchers.main:main"]},
    # tf-agents 0.19 pins pygame 2.1.3, which has no wheels for Python 3.12.
    python_requires=">=3.10,<3.12",
    install_requires=[
        "absl-py",
        "matplotlib",
        "ml-collections",
        "numpy>=1.26,<2.4",
        "pillow>=10.1",
        "rich>=14.1",  # whose bars may be nested
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
        # What families of gymnasium environments need.
        "gym": ["gymnasium>=1.3,<1.4"],
        # What families that MuJoCo simulates need; batches of simulations are new in 3.17.
        "mujoco": ["mujoco>=3.17"],
        # What Atari games need. ale-py is published under the GNU General Public License.
        "atari": ["ale-py>=0.12,<0.13", "gymnasium>=1.3,<1.4"],
        # What the tests in a browser need, see `make test-browser`.
        "browser": ["selenium"],
        # What training in several processes and on clusters needs, see `tfcaml train --workers`.
        "ray": ["ray>=2.60,<2.61"],
        "dev": [
            *("gymnasium>=1.3,<1.4", "mujoco>=3.17", "ray>=2.60,<2.61"),
            *("hypothesis", "mypy", "pytest", "pytest-xdist", "ruff"),
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
