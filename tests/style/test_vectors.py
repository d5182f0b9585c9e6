"""The published vectors are what their own independent implementation makes."""
import pathlib
import subprocess
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]


def test_the_published_vectors_are_up_to_date():
    """Whoever tests a gateway of his own against stale vectors would chase a ghost."""
    subprocess.run([sys.executable, TREE / "tests/vectors/make.py", "--check"], check=True)
