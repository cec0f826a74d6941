"""Reading images: decoded and shrunk once, in grey or in colour."""

from __future__ import annotations

import io
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from tfcaml.errors import ConfigError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def decoded(
    name: str, data: bytes, size: tuple[int, int], mode: str, wanted: tuple[int, int] | None = None
) -> np.ndarray:
    """An image file's content as uint8 [height, width, channels].

    Args:
      name: of the file, for messages.
      data: its bytes.
      size: (width, height) that it is shrunk or enlarged to.
      mode: "L" for grey, "RGB" for colour.
      wanted: (width, height) that it has to have; None: any.

    What is transparent is white, as paper is.

    Raises:
      ConfigError: no image, one of more than 8 bits, or one of another size.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            found = opened.size
            deep = opened.mode[0] in "IF"  # which Pillow would cut off above 255
            image = _on_paper(opened).convert(mode).resize(size, Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ConfigError(f"expected {name} to be an image; it is none, or is damaged") from None
    if deep:
        raise ConfigError(
            f"expected {name} to be an image of 8 bits a channel; received one of more"
        )
    if wanted is not None and found != wanted:
        told = "{} x {}".format
        raise ConfigError(
            f"expected {name} to be an image of {told(*wanted)} points; received {told(*found)}"
        )
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if mode == "L" else pixels


def _on_paper(image: Image.Image) -> Image.Image:
    """An image on white, where parts of it are transparent."""
    if not image.has_transparency_data:
        return image
    own = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", own.size, "white"), own)


def members(path: str | os.PathLike[str]) -> dict[str, Callable[[], bytes]]:
    """The image files in a zip, by their names: dict name -> () -> bytes, in the order of names.

    Raises:
      ConfigError: no such file, or it is no zip or a damaged one.
    """
    path = pathlib.Path(path)
    if not os.path.isfile(path):  # which takes any text
        raise ConfigError(f"expected {path} to be a zip; there is no such file")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        raise ConfigError(f"expected {path} to be a zip; it is none, or is damaged") from None

    def read(name: str) -> bytes:
        try:
            return archive.read(name)
        except Exception:  # of the archive, of its compression or of the file system
            raise ConfigError(f"expected {path} to be a zip; {name} in it is damaged") from None

    names = sorted(name for name in archive.namelist() if is_image(name))
    return {name: lambda name=name: read(name) for name in names}  # type: ignore[misc]


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The image files in a folder itself, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.is_file() and is_image(path.name))


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(_SUFFIXES) and not pathlib.PurePath(name).name.startswith(".")


def stamp(paths: Iterable[str | os.PathLike[str]]) -> tuple[tuple[str, int, int], ...]:
    """(path, size, time of the last change) of each file, which tells whether it is as it was."""
    found = []
    for path in map(pathlib.Path, paths):
        if not os.path.isfile(path):
            raise ConfigError(f"expected {path} to be a zip; there is no such file")
        status = path.stat()
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(found)
