"""`python -m farshore`."""

from farshore.cli.app import main

if __name__ == "__main__":
    main()
