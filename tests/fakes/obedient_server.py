"""`matinee` with the flavor `obedient`: run as a program, it is the real command line with one more kind of model."""

from tests.fakes.classifier import know_obedient

from matinee.cli import main

if __name__ == "__main__":
    know_obedient()
    main()
