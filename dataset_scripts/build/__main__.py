"""Build SEQD: `python -m speecheq.dataset_scripts.build --out seqd --corpus NAME=FOLDER`."""

from speecheq.dataset_scripts.build.builder import main

if __name__ == "__main__":  # worker processes import this file too
    main()
