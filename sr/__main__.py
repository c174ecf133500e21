"""python -m sr <command> ... is the same as sr <command> ..."""

from sr.cli import entry

if __name__ == "__main__":
    entry()
