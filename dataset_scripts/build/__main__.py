"""Build SEQD: `python -m speecheq.dataset_scripts.build --out seqd --corpus NAME=FOLDER`."""

from speecheq.dataset_scripts.build.builder import main

if __name__ == "__main__":  # a worker process imports this file too
    main()
