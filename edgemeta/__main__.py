"""`python -m edgemeta` is `edgemeta`."""

from edgemeta.cli import main

if __name__ == "__main__":
    main()
