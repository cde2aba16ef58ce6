"""Files of weights as keras.applications publishes them."""

from pathlib import Path

import h5py


def applications_file(model, folder: Path) -> Path:
    """Writes a model's weights alone, in the layout of their time, and gives the file."""
    model.save(folder / "whole.h5")
    path = folder / "weights.h5"
    with h5py.File(folder / "whole.h5") as whole, h5py.File(path, "w") as file:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", file)
        file.attrs.update(whole["model_weights"].attrs)
    return path
