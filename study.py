"""Ask people what looks better: python study.py weights=[rlfn_x4,bsrn_x4] benchmarks=[set5] writes the page."""

from sr.cli import main

if __name__ == "__main__":
    main("study")
