"""Pictures become image parts: PIL images, encoded bytes, pixel arrays, matplotlib figures.

What comes in is never changed; what goes out is an :class:`ImagePart` with JPEG bytes, or PNG where there is
transparency, no longer than asked on its long side and without metadata. A picture that was encoded before is
not encoded again: equal pixels give the very same part. Small pictures of parts, for views, are made here too. Nothing
here reads files or addresses.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .content import ImagePart
from .errors import ContentError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from PIL.Image import Image

    from .content import Detail

_JPEG_QUALITY = 85
_MAX_JPEG_EDGE_PX = 65_500  # the format knows none longer; the encoder stops here
_ORIENTATION = 0x0112  # the EXIF tag that says how a camera was held; 1 is upright
# How each other orientation is made upright, by the name of Pillow's transposition.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
# The kinds Pillow may try on bytes. Not all it knows: some (EPS) start other programs.
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "PPM", "JPEG2000")
# What every server reads as it is, by Pillow's name of the format and the modes a browser would show.
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
_OPAQUE = 255
# A small picture as good as its bytes allow: the first that is small enough is taken.
_THUMBNAIL_EDGES_PX = (160, 120, 80, 40)
_THUMBNAIL_QUALITIES = (80, 60, 40)
_THUMBNAIL_COLOURS = (256, 64, 16)
_MAX_THUMBNAIL_BYTES = 8_000
_MAX_THUMBNAIL_PIXELS = 50_000_000


class _Encoded:
    """Parts made before, the least recently used dropped first; bounded by the bytes they hold."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._parts: OrderedDict[Hashable, ImagePart] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], ImagePart]) -> ImagePart:
        """The part kept under ``key``, else the one that ``make`` returns, from now on kept."""
        with self._lock:
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key]
        # Encoding takes long: not under the lock. Two threads may both make it; the first one's is kept.
        part = make()
        with self._lock:
            kept = self._parts.setdefault(key, part)
            if kept is part:
                self._bytes += len(part.data)
            while self._bytes > self._max_bytes and self._parts:
                _, dropped = self._parts.popitem(last=False)
                self._bytes -= len(dropped.data)
        return kept


_ENCODED = _Encoded(max_bytes=64_000_000)


def encode_image(image: Image, *, max_edge_px: int = 2048, detail: Detail = "auto") -> ImagePart:
    """Encode a PIL image, smaller if needed.

    Modes of more than 8 bits (I;16, I, F) are stretched: their least value becomes black, their greatest
    white, as matplotlib's ``imshow`` does, since what they hold seldom spans the whole range of its type;
    values that are no numbers become black. Of an animated image the frame it stands at is taken, the first
    one unless the caller moved it. A rotation noted by the camera (EXIF) is applied. Metadata is not kept.

    Args:
        image: Any mode; (width, height) in pixels. Not changed.
        max_edge_px: Longest side allowed, in pixels. Aspect ratio is kept.
        detail: How closely the model is to look.

    Returns:
        A part whose ``data`` holds JPEG bytes, or PNG where a pixel really is transparent (not base64).

    Raises:
        ContentError: A side is zero, or the image cannot be read or converted.
    """
    width, height = image.size
    if not (width and height):
        raise ContentError(f"The image is {width} × {height} pixels: a side is zero.")
    try:
        ready = _prepared(image, max_edge_px)
    except Exception as exc:  # Pillow raises a dozen kinds for broken data (SyntaxError and struct.error too)
        raise _unreadable(f"The image (mode {image.mode})", exc) from exc
    digest = hashlib.sha256(ready.tobytes()).digest()
    return _ENCODED.get(("pixels", ready.mode, ready.size, detail, digest), lambda: _encode(ready, detail))


def image_from_bytes(data: bytes, *, max_edge_px: int = 2048, detail: Detail = "auto") -> ImagePart:
    """A part from the bytes of an image file.

    PNG, JPEG, GIF and WebP that are small enough, upright and not animated are passed through untouched, with
    whatever metadata they hold; all others are encoded anew by :func:`encode_image`.

    Args:
        data: An image file's bytes.
        max_edge_px: Longest side allowed, in pixels.
        detail: How closely the model is to look.

    Raises:
        ContentError: The bytes are no image, or a broken one.
    """
    key = ("bytes", max_edge_px, detail, hashlib.sha256(data).digest())
    return _ENCODED.get(key, lambda: _from_bytes(data, max_edge_px, detail))


def thumbnail(part: ImagePart) -> ImagePart | None:
    """A small picture of a picture: at most 160 px on its long side, at most 8 kB, nothing in it but pixels.

    Returns:
        A part with JPEG bytes, or PNG where there is transparency. None where there are no bytes, where they are no
        picture (a conversation that was loaded may hold anything), or one too large to be worth the time.
    """
    if not part.data:
        return None
    try:
        return _ENCODED.get(("thumbnail", hashlib.sha256(part.data).digest()), lambda: _thumbnail(part.data))
    except ContentError:
        return None


def decode_image(data: bytes) -> Image:
    """The picture that an image file's bytes hold, decoded whole.

    Raises:
        ContentError: They are no image, or a broken one.
    """
    return _opened(data, _MAX_JPEG_EDGE_PX)[0]


def image_kind(data: bytes) -> tuple[str, str] | None:
    """Format and mode of an encoded picture, by its header: ("PNG", "RGBA"); None where Pillow cannot read it."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return image.format or "", image.mode
    except Exception:  # noqa: BLE001  # Pillow raises a dozen kinds for broken data
        return None


def image_from_array(array: Any, *, max_edge_px: int = 2048, detail: Detail = "auto") -> ImagePart:
    """A part from pixels.

    Args:
        array: numpy array of uint8, shape (height, width, 3) for RGB or (height, width, 4) for RGBA.
        max_edge_px: Longest side allowed, in pixels.
        detail: How closely the model is to look.

    Raises:
        ContentError: A side is zero.
    """
    from PIL import Image

    height, width = array.shape[:2]
    if not (width and height):
        raise ContentError(f"The array is {width} × {height} pixels: a side is zero.")
    return encode_image(Image.fromarray(array), max_edge_px=max_edge_px, detail=detail)


def image_from_figure(figure: Any, *, max_edge_px: int = 2048, detail: Detail = "auto") -> ImagePart:
    """A part from a matplotlib figure, drawn as notebooks draw it; needs neither pyplot nor a display.

    Args:
        figure: ``matplotlib.figure.Figure``. Not changed.
        max_edge_px: Longest side allowed, in pixels.
        detail: How closely the model is to look.

    Raises:
        ContentError: The figure cannot be drawn.
    """
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format="png", bbox_inches="tight")
    except Exception as exc:  # whatever an artist in the figure raises
        raise _unreadable("The figure", exc) from exc
    return image_from_bytes(drawn.getvalue(), max_edge_px=max_edge_px, detail=detail)


def _from_bytes(data: bytes, max_edge_px: int, detail: Detail) -> ImagePart:
    image, is_small = _opened(data, max_edge_px)
    media_type = _MEDIA_TYPES.get(image.format or "")
    is_upright = image.getexif().get(_ORIENTATION, 1) == 1
    is_plain = image.mode in _PLAIN_MODES and is_upright and not getattr(image, "is_animated", False)
    if media_type and is_plain and is_small:
        width, height = image.size
        return ImagePart(data=data, media_type=media_type, detail=detail, width=width, height=height)
    return encode_image(image, max_edge_px=max_edge_px, detail=detail)


def _opened(data: bytes, max_edge_px: int, *, max_pixels: int | None = None) -> tuple[Image, bool]:
    """The image, decoded as far as it is needed, and whether it was no longer than that from the beginning.

    Raises:
        ContentError: The bytes are no image, a broken one, or one of too many pixels.
    """
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            # Large photographs are welcome: they are made smaller, and Pillow still refuses gigantic ones. What
            # it has to say of odd metadata helps nobody here.
            warnings.simplefilter("ignore")
            image = Pillow.open(io.BytesIO(data), formats=_FORMATS)
            width, height = image.size
            _check_pixels(width, height, max_pixels)
            # JPEG is decoded at a half, a quarter or an eighth, where that is not below what is wanted.
            image.draft(image.mode, (max_edge_px, max_edge_px))
            image.load()
            image.getexif()
    except ContentError:
        raise
    except Exception as exc:  # Pillow raises a dozen kinds for broken data (SyntaxError and struct.error too)
        raise _unreadable("The image", exc) from exc
    return image, max(width, height) <= max_edge_px


def _check_pixels(width: int, height: int, most: int | None) -> None:
    if most is not None and width * height > most:
        raise ContentError(f"The image is {width} × {height} pixels: too many for this.")


def _thumbnail(data: bytes) -> ImagePart:
    image, _ = _opened(data, _THUMBNAIL_EDGES_PX[0], max_pixels=_MAX_THUMBNAIL_PIXELS)
    try:
        return _smallest(image)
    except Exception as exc:  # as above
        raise _unreadable("The image", exc) from exc


def _smallest(image: Image) -> ImagePart:
    for edge in _THUMBNAIL_EDGES_PX:
        ready = _prepared(image, edge)
        for quality, colours in zip(_THUMBNAIL_QUALITIES, _THUMBNAIL_COLOURS, strict=True):
            small = _encode(ready, "auto", quality=quality, colours=colours)
            if len(small.data) <= _MAX_THUMBNAIL_BYTES:
                return small
    raise ContentError("The image has no small picture.")


def _prepared(image: Image, max_edge_px: int) -> Image:
    """A new image in mode L, RGB, LA or RGBA, upright, small enough, without metadata; alpha if it shows."""
    from PIL import Image as Pillow

    orientation = image.getexif().get(_ORIENTATION, 1)
    ready = _in_eight_bits(image)
    if ready.mode in ("LA", "RGBA") and ready.getchannel("A").getextrema()[0] == _OPAQUE:
        ready = ready.convert(ready.mode[:-1])
    scale = max_edge_px / max(ready.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in ready.size)
        # By whole factors first (a box, fast), the rest with a filter that keeps writing legible.
        ready = ready.resize((width, height), Pillow.Resampling.HAMMING, reducing_gap=1.0)
    if ready is image:
        ready = image.copy()
    if orientation in _UPRIGHT:
        ready = ready.transpose(Pillow.Transpose[_UPRIGHT[orientation]])
    ready.info = {}
    return ready


def _in_eight_bits(image: Image) -> Image:
    """The image in mode L, RGB, LA or RGBA; itself where it is so and names no transparent colour."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _stretched(image)
    if image.mode == "LAB":
        return _from_lab(image)
    is_grey = image.mode in ("1", "L", "LA", "La")
    opaque, transparent = ("L", "LA") if is_grey else ("RGB", "RGBA")
    wanted = transparent if image.has_transparency_data else opaque
    return image if image.mode == wanted else image.convert(wanted)


def _stretched(image: Image) -> Image:
    """Greys from a mode of more than 8 bits: least value black, greatest white, all alike grey."""
    import numpy as np
    from PIL import Image as Pillow

    values = np.asarray(image).astype(np.float64)
    is_number = np.isfinite(values)
    if not is_number.any():
        return Pillow.new("L", image.size, 0)
    low, high = values[is_number].min(), values[is_number].max()
    if low == high:
        scaled = np.where(is_number, 128.0, 0.0)
    else:
        scaled = np.where(is_number, (np.where(is_number, values, low) - low) * (255.0 / (high - low)), 0.0)
    return Pillow.fromarray(np.rint(scaled).astype(np.uint8))


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is None only when done in place
    return converted


def _encode(image: Image, detail: Detail, *, quality: int = _JPEG_QUALITY, colours: int | None = None) -> ImagePart:
    encoded = io.BytesIO()
    is_jpeg = image.mode in ("L", "RGB") and max(image.size) <= _MAX_JPEG_EDGE_PX
    if is_jpeg:
        image.save(encoded, "JPEG", quality=quality)
    elif colours is None:
        image.save(encoded, "PNG")
    else:
        image.convert("RGBA").quantize(colours).save(encoded, "PNG", optimize=True)
    width, height = image.size
    media_type = "image/jpeg" if is_jpeg else "image/png"
    return ImagePart(data=encoded.getvalue(), media_type=media_type, detail=detail, width=width, height=height)


def _unreadable(what: str, exc: Exception) -> ContentError:
    reason = " ".join(str(exc).split())[:200] or type(exc).__name__
    if reason.startswith("cannot identify image file"):
        # Pillow's own words end in the address of our buffer.
        reason = "it is none of the kinds known here"
    return ContentError(f"{what} cannot be read: {reason}.", hint="open and save it anew, or leave it out")
