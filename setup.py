"""One distribution, `mnas`, with the four import packages and the console script."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ("mnas", "devices", "latency_tables", "controllers")

setup(
    name="mnas",
    version="0.1.0",
    description="Latency measured on the device, latency tables, and multi-objective architecture search",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={"": ["py.typed", "*.sh", "*.tflite"]},
    install_requires=[
        "adb-shell>=0.4.4",
        "adbutils>=2.10",
        "ai-edge-litert>=2.2",
        "keras>=3.12",
        "matplotlib>=3.9",
        "numpy>=1.26",
        "optuna>=5.0,<6",
        "pandas>=2.2",
        "paramiko>=4.0",
        "pillow>=10",
        "PyYAML>=6.0",
        "rich>=13",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "SQLAlchemy>=2.0",
        "tensorflow>=2.21,<2.22",
        "threadpoolctl>=3.1",
        "tomli-w>=1.0",
        "typer>=0.29",
    ],
    extras_require={
        "usb": [
            "adb-shell[usb]>=0.4.4",
        ],
        "gp": [
            "torch>=2.4",
        ],
        "notebooks": [
            "ipykernel>=6.29",
        ],
        "parquet": [
            "pyarrow>=18",
        ],
        "postgresql": [
            "psycopg[binary]>=3.2",
        ],
        "dev": [
            "flatbuffers>=25",
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "mypy>=1.14",
            "ipykernel>=6.29",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "optuna-dashboard>=0.17",
            "packaging>=24",
            "pandas-stubs",
            "psutil>=6",
            "psycopg[binary]>=3.2",
            "pyarrow>=18",
            "pymoo>=0.6.1",
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "types-paramiko",
            "types-psutil",
            "types-PyYAML",
        ],
    },
    entry_points={"console_scripts": ["mnas = mnas.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
