"""Pictures of every kind become small, upright, untouched-at-the-source image parts."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from llm_magic.content import ImagePart
from llm_magic.errors import ContentError
from llm_magic.images import encode_image, image_from_array, image_from_bytes, image_from_figure, thumbnail

OPAQUE_MODES = ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"]
HIGH_BIT_MODES = ["I;16", "I;16L", "I;16B", "I;16N"]
ALPHA_MODES = ["LA", "La", "PA", "RGBA", "RGBa"]


def decoded(part: ImagePart) -> Image.Image:
    """The picture a server would see; the part's own claims are checked on the way."""
    image = Image.open(io.BytesIO(part.data))
    image.load()
    assert image.size == (part.width, part.height)
    assert part.media_type == f"image/{(image.format or '').lower()}"
    return image


def file_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(mode: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture that gets brighter to the right, in any mode."""
    width, height = size
    ramp = np.tile(np.linspace(0, 255, width, dtype=np.uint8), (height, 1))
    grey = Image.fromarray(ramp)
    if mode in HIGH_BIT_MODES:
        order = {"I;16B": ">", "I;16": "<", "I;16L": "<"}.get(mode, "=")
        raw = (ramp.astype(f"{order}u2") * 4).tobytes()
        return Image.frombytes(mode, size, raw)
    if mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.applyTransform(grey.convert("RGB"), ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
        assert converted is not None
        return converted
    if mode == "PA":
        return grey.convert("P").convert("PA")
    if mode == "La":
        return grey.convert("LA").convert("La")
    if mode == "RGBa":
        return grey.convert("RGBA").convert("RGBa")
    return grey.convert(mode)


def state(image: Image.Image) -> tuple[Any, ...]:
    return image.mode, image.size, image.tobytes(), dict(image.info), image.tell()


@pytest.mark.capability("C2")
@pytest.mark.parametrize("mode", OPAQUE_MODES + HIGH_BIT_MODES + ALPHA_MODES)
def test_encode_image_takes_every_mode(mode: str) -> None:
    """Every mode becomes a JPEG that shows the same picture, and the caller's image stays as it was."""
    image = gradient(mode)
    image.info["note"] = "the caller's"
    before = state(image)

    part = encode_image(image)

    assert part.media_type == "image/jpeg"
    seen = np.asarray(decoded(part).convert("L")).astype(int)
    assert seen[:, :4].mean() < 60
    assert seen[:, -4:].mean() > 190
    assert state(image) == before


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA"])
def test_encode_image_keeps_transparency(mode: str) -> None:
    """A really transparent pixel makes a PNG that still has it."""
    image = gradient("RGBA")
    image.putpixel((3, 4), (1, 2, 3, 0))

    part = encode_image(image.convert(mode))

    assert part.media_type == "image/png"
    alpha = decoded(part).convert("RGBA").getchannel("A")
    assert alpha.getpixel((3, 4)) == 0
    assert alpha.getpixel((10, 10)) == 255


@pytest.mark.parametrize(("mode", "colour"), [("P", 7), ("L", 7), ("RGB", (7, 7, 7))])
def test_encode_image_keeps_a_transparent_colour(mode: str, colour: Any) -> None:
    """A colour declared transparent (palette, PNG tRNS) is transparent in what is sent."""
    image = Image.new(mode, (8, 8), colour)
    image.putpixel((0, 0), 9 if mode != "RGB" else (9, 9, 9))
    image.info["transparency"] = colour

    part = encode_image(image)

    assert part.media_type == "image/png"
    alpha = decoded(part).convert("RGBA").getchannel("A")
    assert (alpha.getpixel((0, 0)), alpha.getpixel((5, 5))) == (255, 0)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_encode_image_stretches_high_bits(mode: str) -> None:
    """The least value becomes black and the greatest white, however little of the range they span."""
    image = Image.new(mode, (20, 10), 1000)
    image.paste(1010, (10, 0, 20, 10))

    seen = np.asarray(decoded(encode_image(image)).convert("L")).astype(int)

    assert seen[:, :8].max() < 10
    assert seen[:, 12:].min() > 245


@pytest.mark.parametrize("values", [[np.nan] * 4, [np.inf, -np.inf, 0.0, 0.0], [5.0] * 4])
def test_encode_image_survives_odd_floats(values: list[float]) -> None:
    """Values that are no numbers, or all alike, are a picture too."""
    image = Image.fromarray(np.array(values, dtype=np.float32).reshape(2, 2))

    assert decoded(encode_image(image)).size == (2, 2)


@pytest.mark.capability("C2")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_encode_image_applies_exif_rotation(orientation: int) -> None:
    """However the camera was held, the red corner of the scene is sent at the upper left."""
    upright = Image.new("RGB", (64, 32), "blue")
    upright.paste("red", (0, 0, 16, 16))
    # What a camera held that way would have stored: the inverse of what the tag asks for.
    inverse = {
        2: "FLIP_LEFT_RIGHT",
        3: "ROTATE_180",
        4: "FLIP_TOP_BOTTOM",
        5: "TRANSPOSE",
        6: "ROTATE_90",
        7: "TRANSVERSE",
        8: "ROTATE_270",
    }
    name = inverse.get(orientation)
    stored = upright.transpose(Image.Transpose[name]) if name else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_bytes(stored, "JPEG", exif=exif)

    for part in (encode_image(Image.open(io.BytesIO(data))), image_from_bytes(data)):
        seen = decoded(part)
        pixel = seen.convert("RGB").getpixel((4, 4))
        assert isinstance(pixel, tuple)
        assert seen.size == (64, 32)
        assert pixel[0] > 200
        assert pixel[2] < 60


def test_encode_image_drops_metadata() -> None:
    """A place or comment noted in a photograph does not travel with the picture that is encoded."""
    exif = Image.Exif()
    exif[0x010E] = "secret garden"
    data = file_bytes(Image.new("RGB", (9, 9)), "JPEG", exif=exif, comment=b"secret comment")

    part = encode_image(Image.open(io.BytesIO(data)))

    assert b"secret" in data
    assert b"secret" not in part.data


@pytest.mark.capability("C2")
@given(width=st.integers(1, 300), height=st.integers(1, 300), edge=st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_encode_image_keeps_within_the_edge(width: int, height: int, edge: int) -> None:
    """The long side is at most the edge asked for, the shape is kept, and nothing is made larger."""
    part = encode_image(Image.new("RGB", (width, height), "white"), max_edge_px=edge)

    longest = max(width, height)
    assert max(part.width, part.height) == min(longest, edge)
    scale = min(1.0, edge / longest)
    assert abs(part.width - width * scale) <= 1
    assert abs(part.height - height * scale) <= 1


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "I;16", "CMYK"])
def test_encode_image_shrinks_every_kind(mode: str) -> None:
    """Modes that cannot be resized as they are shrink too."""
    part = encode_image(gradient(mode, (400, 200)), max_edge_px=100)

    assert decoded(part).size == (100, 50)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_encode_image_refuses_a_zero_side(size: tuple[int, int]) -> None:
    """An image without pixels is one clear line."""
    with pytest.raises(ContentError, match=r"a side is zero"):
        encode_image(Image.new("RGB", size))


def test_encode_image_tells_what_cannot_be_read() -> None:
    """An image whose file breaks off is one line when it is sent, however late that shows."""
    data = file_bytes(gradient("RGB", (200, 200)), "JPEG")

    with pytest.raises(ContentError, match=r"The image \(mode RGB\) cannot be read: .*truncated"):
        encode_image(Image.open(io.BytesIO(data[:900])))


def test_encode_image_takes_the_frame_shown() -> None:
    """Of an animation the first frame is sent, or the one the caller moved to, and it stays there."""
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    data = file_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])
    image = Image.open(io.BytesIO(data))

    first = decoded(encode_image(image)).getpixel((9, 9))
    image.seek(2)
    third = decoded(encode_image(image)).getpixel((9, 9))

    assert isinstance(first, tuple)
    assert isinstance(third, tuple)
    assert first[0] > 200
    assert third[2] > 200
    assert image.tell() == 2


def test_encode_image_is_not_repeated() -> None:
    """Equal pixels give the very same part; a changed pixel or another detail gives another."""
    image = gradient("RGB")

    part = encode_image(image)

    assert encode_image(image) is part
    assert encode_image(image.copy()) is part
    assert encode_image(image, detail="low") is not part
    image.putpixel((0, 0), (9, 99, 199))
    assert encode_image(image).data != part.data


def test_encoded_parts_are_bounded() -> None:
    """What is kept of earlier pictures never holds more bytes than allowed, the oldest going first."""
    from llm_magic.images import _Encoded

    kept = _Encoded(max_bytes=100)
    made: list[int] = []

    def part(number: int) -> ImagePart:
        made.append(number)
        return ImagePart(data=bytes(40))

    for number in (1, 2, 1, 3, 1, 2):
        kept.get(number, lambda number=number: part(number))  # type: ignore[misc]  # the default binds it now

    assert made == [1, 2, 3, 2]
    kept.get("huge", lambda: ImagePart(data=bytes(1000)))
    assert kept._bytes <= 100


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_image_from_bytes_passes_through(kind: str) -> None:
    """Bytes that every server reads are sent as they are."""
    data = file_bytes(gradient("RGB"), kind)

    part = image_from_bytes(data, detail="high")

    assert part.data == data
    assert part.media_type == f"image/{kind.lower()}"
    assert (part.width, part.height, part.detail) == (40, 30, "high")


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO"])
def test_image_from_bytes_encodes_other_kinds(kind: str) -> None:
    """Kinds that servers do not read are encoded anew."""
    part = image_from_bytes(file_bytes(gradient("RGB", (32, 32)), kind))

    assert part.media_type in ("image/jpeg", "image/png")
    assert decoded(part).size == (32, 32)


@pytest.mark.parametrize("size", [(300, 200), (1200, 900)])
def test_image_from_bytes_shrinks(size: tuple[int, int]) -> None:
    """A file too large on a side is made smaller, also where its decoder could shrink it on the way."""
    data = file_bytes(gradient("RGB", size), "JPEG")

    part = image_from_bytes(data, max_edge_px=150)

    assert max(decoded(part).size) == 150
    assert part.data != data


@pytest.mark.capability("C2")
def test_image_from_bytes_sends_one_frame() -> None:
    """Animations are not passed through: the protocol takes none."""
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime")]
    data = file_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])

    seen = decoded(image_from_bytes(data))

    assert seen.format == "JPEG"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"not an image",
        file_bytes(gradient("RGB", (200, 200)), "JPEG")[:900],
        file_bytes(gradient("RGB", (200, 200)), "PNG")[:200],
        b"GIF89a" + b"\xff" * 30,
        file_bytes(gradient("L"), "PCX"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    ],
)
def test_image_from_bytes_refuses_broken_data(data: bytes) -> None:
    """Broken, cut and foreign bytes are one line, with no address of ours in it."""
    with pytest.raises(ContentError) as caught:
        image_from_bytes(data)

    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)


@given(
    st.binary(max_size=200),
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]),
    st.integers(0, 400),
)
@settings(max_examples=150, deadline=None)
def test_image_from_bytes_never_fails_otherwise(noise: bytes, kind: str, place: int) -> None:
    """Whatever is wrong with a file, it is a part or a ContentError."""
    data = file_bytes(gradient("RGB"), kind)
    damaged = data[:place] + noise + data[place + len(noise) :]

    with contextlib.suppress(ContentError):
        assert image_from_bytes(damaged).data


@pytest.mark.parametrize("channels", [3, 4])
def test_image_from_array_encodes_pixels(channels: int) -> None:
    """RGB and RGBA arrays are pictures, also when they are views."""
    array = np.zeros((20, 30, channels), dtype=np.uint8)
    array[:, :, 0] = 255

    seen = decoded(image_from_array(array[::2, ::-1])).convert("RGBA").getpixel((4, 4))

    assert isinstance(seen, tuple)
    assert seen[0] > 200
    assert seen[3] == (0 if channels == 4 else 255)


def test_image_from_array_refuses_a_zero_side() -> None:
    """An array without pixels is one clear line."""
    with pytest.raises(ContentError, match="a side is zero"):
        image_from_array(np.zeros((0, 4, 3), dtype=np.uint8))


def test_image_from_figure_draws_it() -> None:
    """A figure becomes a PNG, without pyplot and without a display."""
    code = (
        "import sys; from matplotlib.figure import Figure; from llm_magic.images import image_from_figure\n"
        "figure = Figure(figsize=(4, 3)); figure.subplots().plot([1, 3, 2])\n"
        "part = image_from_figure(figure)\n"
        "print(part.media_type, part.width > 200, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert done.stdout.split() == ["image/png", "True", "False"]


def test_image_from_figure_tells_what_failed() -> None:
    """An artist that cannot be drawn is one line with its reason."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.5, 0.5, "$\\notacommand$")

    with pytest.raises(ContentError, match="notacommand"):
        image_from_figure(figure)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA", "P", "1", "I;16"])
@pytest.mark.parametrize("size", [(2000, 1500), (160, 160), (7, 3000), (1, 1)])
def test_thumbnails_are_small(mode: str, size: tuple[int, int]) -> None:
    """Even of noise, a small picture has at most 160 pixels on its long side and 8 kB, and its shape."""
    encoded = io.BytesIO()
    noise = Image.effect_noise(size, 90).convert("RGBA")
    noise.putalpha(Image.effect_noise(size, 90))
    noise.putpixel((0, 0), (0, 0, 0, 0))  # of a single pixel, chance might make none transparent
    (noise.convert("L").convert(mode) if mode in ("1", "I;16") else noise.convert(mode)).save(encoded, "PNG")
    part = image_from_bytes(encoded.getvalue())

    small = thumbnail(part)

    assert small is not None
    assert len(small.data) <= 8_000
    assert max(small.width, small.height) <= min(160, max(size))
    assert (small.width > small.height) == (size[0] > size[1])
    with Image.open(io.BytesIO(small.data)) as shown:
        assert shown.size == (small.width, small.height)
        assert (small.media_type == "image/png") == shown.has_transparency_data == (mode in ("LA", "RGBA", "P"))
    assert thumbnail(part) is small


@pytest.mark.parametrize("part", [ImagePart(), ImagePart(url="https://example.org/x.png"), ImagePart(data=b"GIF89a")])
def test_what_is_no_picture_has_no_thumbnail(part: ImagePart) -> None:
    """Views of conversations that were loaded show what is there."""
    assert thumbnail(part) is None


def test_a_gigantic_picture_has_no_thumbnail() -> None:
    """A view does not decode for seconds what is only to be small."""
    encoded = io.BytesIO()
    Image.new("1", (10_000, 5_001)).save(encoded, "PNG")

    assert thumbnail(ImagePart(data=encoded.getvalue(), media_type="image/png")) is None
