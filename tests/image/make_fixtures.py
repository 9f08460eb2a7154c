"""Draws the small pictures of tests/golden/image and writes what PIL makes of them.

    python tests/image/make_fixtures.py [FOLDER]      (default: tests/golden/image)

Made with Pillow 13.0.0 (libjpeg-turbo 3.2, libtiff 4.7, libwebp 1.6), numpy, transformers 4.57.6.
For each picture `pictures/NAME.EXT` there is `rgb/NAME.EXT.ppm`, PIL's `Image.open(f).convert("RGB")`.
`resized.txt` holds, a line a picture, aspect and side, the 64-bit FNV-1a hash of the 8-bit pixels
that CLIPImageProcessor has before it rescales; `pixels/*.f32` are a few whole outputs, raw float32.
"""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "golden" / "image"
MEAN = [0.48145466, 0.4578275, 0.40821073]


def drawing(width, height, seed=0):
    """A smooth picture with edges and some noise: every channel and both directions differ."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [
        128 + 120 * np.sin(x / 3.1 + y / 7.3 + seed),
        255 * x / max(1, width - 1),
        128 + 100 * np.cos(y / 2.7 - x / 11.0),
    ]
    a = np.stack(planes, -1) + rng.normal(0, 12, (height, width, 3))
    im = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    ImageDraw.Draw(im).ellipse([width // 4, height // 5, width // 2, height // 2], fill=(250, 20, 60))
    return im


# ---- writers for what PIL cannot write ---------------------------------------------------------

def png(width, height, depth, colour, rows, interlaced=False, chunks=()):
    """PNG bytes from `rows(x0, dx, y0, dy)`, which gives the packed rows of one pass."""
    passes = [(0, 1, 0, 1)]
    if interlaced:
        passes = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]
    raw = b"".join(b"\0" + row for p in passes for row in rows(*p) if row)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = b"".join(chunk(*c) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def packed(a, depth):
    """Rows of samples [H, W, C] (or [H, W]) packed at `depth` bits, for png()."""
    a = a if a.ndim == 3 else a[..., None]

    def rows(x0, dx, y0, dy):
        for row in a[y0::dy, x0::dx]:
            flat = row.reshape(-1)
            if depth == 16:
                yield flat.astype(">u2").tobytes()
            elif depth == 8:
                yield flat.astype(np.uint8).tobytes()
            else:
                bits = ((flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(-1)
                yield np.packbits(bits.astype(np.uint8)).tobytes()

    return rows


def bmp(width, height, bits, data, compression=0, palette=b"", masks=b""):
    colours = len(palette) // 4
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    offset = 14 + len(head) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + masks + palette + data


def tiff(width, height, tags, data, big_endian=False):
    """Uncompressed single-strip TIFF; `data` may be a list of strips."""
    e = ">" if big_endian else "<"
    strips = data if isinstance(data, list) else [data]
    blob, offsets = b"", []
    for s in strips:
        offsets.append(8 + len(blob))
        blob += s + b"\0" * (len(s) % 2)
    tags = dict(tags)
    tags.update({256: ("I", [width]), 257: ("I", [height])})
    if not 324 in tags and not 322 in tags:
        tags.update({273: ("I", offsets), 279: ("I", [len(s) for s in strips])})
    else:
        tags.update({324: ("I", offsets), 325: ("I", [len(s) for s in strips])})
    tags.setdefault(259, ("H", [1]))
    ifd_at = 8 + len(blob)
    extra, entries = b"", []
    extra_at = ifd_at + 2 + 12 * len(tags) + 4
    for tag in sorted(tags):
        kind, values = tags[tag]
        raw = struct.pack(e + kind * len(values), *values)
        field = {"H": 3, "I": 4}[kind]
        if len(raw) <= 4:
            raw = raw.ljust(4, b"\0")
        else:
            extra += raw
            raw = struct.pack(e + "I", extra_at + len(extra) - len(raw))
        entries.append(struct.pack(e + "HHI", tag, field, len(values)) + raw)
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(e + "I", ifd_at)
    return head + blob + struct.pack(e + "H", len(tags)) + b"".join(entries) + struct.pack(e + "I", 0) + extra


def saved(im, kind, **options):
    f = io.BytesIO()
    im.save(f, kind, **options)
    return f.getvalue()


def without_segment(jpeg, marker):
    """The JPEG with the first APPn segment of this marker cut out."""
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + jpeg[at + 2 + struct.unpack(">H", jpeg[at + 2:at + 4])[0]:]


def pictures():
    im = drawing(34, 23)
    small = drawing(19, 14, 3)
    grey = im.convert("L")
    cmyk = Image.merge("CMYK", [*im.split(), drawing(34, 23, 9).convert("L")])
    rgba = im.copy()
    rgba.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6

    yield "q95_444.jpg", saved(im, "JPEG", quality=95, subsampling=0)
    yield "q75_420.jpg", saved(im, "JPEG", quality=75)
    yield "q80_422.jpg", saved(im, "JPEG", quality=80, subsampling=1)
    yield "progressive.jpg", saved(im, "JPEG", quality=85, progressive=True)
    yield "restarts.jpg", saved(im, "JPEG", quality=60, restart_marker_blocks=2)
    yield "grey.jpg", saved(grey, "JPEG", quality=90)
    yield "rgb_coded.jpg", saved(im, "JPEG", quality=90, keep_rgb=True)
    yield "exif_rotated.jpg", saved(im, "JPEG", quality=90, exif=exif)
    adobe = saved(cmyk, "JPEG", quality=92)
    yield "cmyk_adobe.jpg", adobe
    yield "cmyk_bare.jpg", without_segment(adobe, 0xEE)
    at = adobe.index(b"Adobe") + 11
    yield "ycck.jpg", adobe[:at] + b"\x02" + adobe[at + 1:]
    yield "trailing.jpg", saved(small, "JPEG") + b"garbage after the picture"
    yield "one_column.jpg", saved(drawing(1, 37), "JPEG", quality=90)
    yield "one_row.jpg", saved(drawing(53, 1), "JPEG", quality=90)
    yield "one_pixel.jpg", saved(drawing(1, 1), "JPEG", quality=90)

    a, g = np.asarray(small), np.asarray(small.convert("L"))
    alpha = np.flipud(g)
    palette = bytes(np.random.default_rng(5).integers(0, 256, 48, dtype=np.uint8))
    wide = a.astype(np.uint16) * 200 + 77
    h, w = g.shape
    yield "rgb.png", saved(im, "PNG")
    yield "rgba.png", saved(rgba, "PNG")
    yield "palette_transparent.png", saved(small.quantize(31), "PNG", transparency=bytes(range(31)))
    yield "bits1.png", png(w, h, 1, 0, packed(g >> 7, 1))
    yield "bits2.png", png(w, h, 2, 0, packed(g >> 6, 2))
    yield "bits4.png", png(w, h, 4, 0, packed(g >> 4, 4), chunks=[(b"tRNS", b"\0\5")])
    yield "grey16.png", png(w, h, 16, 0, packed(g.astype(np.uint16) * 5, 16))
    yield "grey_alpha.png", png(w, h, 8, 4, packed(np.stack([g, alpha], -1), 8))
    yield "grey_alpha16.png", png(w, h, 16, 4, packed(np.stack([g, alpha], -1).astype(np.uint16) * 201, 16))
    yield "rgb16.png", png(w, h, 16, 2, packed(wide, 16))
    yield "rgba16.png", png(w, h, 16, 6, packed(np.dstack([wide, wide[..., :1]]), 16))
    yield "rgb_transparent.png", png(w, h, 8, 2, packed(a, 8), chunks=[(b"tRNS", b"\0\5\0\6\0\7")])
    yield "gamma.png", png(w, h, 8, 2, packed(a, 8), chunks=[(b"gAMA", struct.pack(">I", 100000))])
    yield "interlaced.png", png(w, h, 8, 2, packed(a, 8), interlaced=True)
    yield "interlaced_rgba.png", png(w, h, 8, 6, packed(np.dstack([a, alpha]), 8), interlaced=True)
    yield "interlaced_palette4.png", png(w, h, 4, 3, packed(g >> 4, 4), True, [(b"PLTE", palette), (b"tRNS", b"\0\7")])
    yield "palette1.png", png(w, h, 1, 3, packed(g >> 7, 1), chunks=[(b"PLTE", palette[:6])])
    yield "palette2.png", png(w, h, 2, 3, packed(g >> 6, 2), chunks=[(b"PLTE", palette[:12])])
    yield "palette_short.png", png(w, h, 8, 3, packed(g, 8), chunks=[(b"PLTE", palette)])
    yield "one_column.png", saved(drawing(1, 61), "PNG")
    yield "one_row.png", saved(drawing(67, 1), "PNG")
    yield "one_pixel.png", saved(drawing(1, 1), "PNG")
    yield "tall.png", saved(drawing(20, 49), "PNG")  # at side 16 Pillow 13 resizes its columns first
    yield "long.png", saved(drawing(700, 2), "PNG")

    yield "plain.gif", saved(small.quantize(40), "GIF", interlace=0)
    yield "interlaced.gif", saved(im.quantize(200), "GIF", interlace=1)
    yield "transparent.gif", saved(small.quantize(16), "GIF", transparency=3)
    yield "grey.gif", saved(grey, "GIF")
    frames = [drawing(19, 14, s).quantize(20) for s in range(3)]
    yield "animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:], loop=0)
    plain = saved(small.quantize(40), "GIF", interlace=0)
    at = plain.index(b",", 13 + 3 * 64)
    moved = plain[:6] + struct.pack("<HH", 30, 22) + plain[10:at + 1] + struct.pack("<HH", 5, 3) + plain[at + 5:]
    yield "offset.gif", moved
    yield "beyond_screen.gif", moved[:6] + struct.pack("<HH", 10, 9) + moved[10:]

    yield "lossy.webp", saved(im, "WEBP", quality=80)
    yield "lossless.webp", saved(im, "WEBP", lossless=True)
    yield "lossy_alpha.webp", saved(rgba, "WEBP", quality=70)
    yield "lossless_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    frames = [drawing(19, 14, s) for s in range(2)]
    yield "animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=80)

    stride = (w * 3 + 3) // 4 * 4
    bgr = b"".join(row.tobytes().ljust(stride, b"\0") for row in a[::-1, :, ::-1])
    yield "rgb.bmp", saved(small, "BMP")
    yield "top_down.bmp", bmp(w, -h, 24, b"".join(r.tobytes().ljust(stride, b"\0") for r in a[:, :, ::-1]))
    yield "rgba.bmp", saved(rgba.resize((19, 14)), "BMP")
    yield "grey.bmp", saved(small.convert("L"), "BMP")
    yield "palette.bmp", saved(small.quantize(64), "BMP")
    yield "bits1.bmp", saved(small.convert("1"), "BMP")
    bgra_palette = b"".join(palette[3 * i:3 * i + 3] + b"\0" for i in range(16))
    rows4 = b"".join(np.packbits(np.unpackbits((r >> 4)[:, None], axis=1)[:, 4:].reshape(-1)).tobytes().ljust(12, b"\0") for r in g[::-1])
    yield "bits4.bmp", bmp(w, h, 4, rows4, 0, bgra_palette)
    v = (a[::-1] >> 3).astype(np.uint16)
    pad = lambda rows: b"".join(r.astype("<u2").tobytes().ljust((2 * w + 3) // 4 * 4, b"\0") for r in rows)
    yield "rgb555.bmp", bmp(w, h, 16, pad(v[..., 0] << 10 | v[..., 1] << 5 | v[..., 2]))
    v6 = (a[::-1, :, 1] >> 2).astype(np.uint16)
    yield "rgb565.bmp", bmp(w, h, 16, pad(v[..., 0] << 11 | v6 << 5 | v[..., 2]), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    xbgr = b"".join(np.dstack([r[None, :, ::-1], r[None, :, :1]]).tobytes() for r in a[::-1])
    yield "rgbx.bmp", bmp(w, h, 32, xbgr)
    rle8 = b"".join(b"".join(bytes([1, p]) for p in r[:9]) + bytes([0, 10]) + r[9:19].tobytes() + b"\0\0" for r in (g[::-1] >> 4)) + b"\0\1"
    yield "rle8.bmp", bmp(w, h, 8, rle8, 1, bgra_palette)
    rle4 = b"".join(bytes([7, 0x12, 6, 0x3F, 0, 6, 0x45, 0x67, 0x89, 0, 0, 0]) if y % 2 else bytes([0, 2, 4, 0, 15, 0xAB, 0, 0]) for y in range(h)) + b"\0\1"
    yield "rle4.bmp", bmp(w, h, 4, rle4, 2, bgra_palette)

    rgb_tags = {258: ("H", [8, 8, 8]), 262: ("H", [2]), 277: ("H", [3])}
    yield "raw.tif", saved(im, "TIFF")
    yield "lzw.tif", saved(im, "TIFF", compression="tiff_lzw")
    yield "deflate.tif", saved(im, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 2})
    yield "packbits.tif", saved(small, "TIFF", compression="packbits")
    yield "jpeg.tif", saved(im, "TIFF", compression="jpeg", quality=85)
    yield "group4.tif", saved(im.convert("1"), "TIFF", compression="group4")
    yield "bits1.tif", saved(small.convert("1"), "TIFF")
    yield "grey.tif", saved(grey, "TIFF")
    yield "white_is_zero.tif", tiff(w, h, {258: ("H", [8]), 262: ("H", [0])}, g.tobytes())
    yield "grey4.tif", tiff(w, h, {258: ("H", [4]), 262: ("H", [1])}, b"".join(np.packbits(np.unpackbits((r >> 4)[:, None], axis=1)[:, 4:].reshape(-1)).tobytes() for r in g))
    g16 = g.astype(np.uint16) * 3
    yield "grey16.tif", tiff(w, h, {258: ("H", [16]), 262: ("H", [1])}, g16.astype("<u2").tobytes())
    yield "grey16_big_endian.tif", tiff(w, h, {258: ("H", [16]), 262: ("H", [1])}, g16.astype(">u2").tobytes(), True)
    yield "float.tif", saved(Image.fromarray(g.astype(np.float32) * 1.7 - 40.3), "TIFF")
    yield "int32.tif", saved(Image.fromarray(g.astype(np.int32) * 2 - 60), "TIFF")
    yield "rgb16.tif", tiff(w, h, {**rgb_tags, 258: ("H", [16] * 3)}, wide.astype("<u2").tobytes())
    yield "rgb16_big_endian.tif", tiff(w, h, {**rgb_tags, 258: ("H", [16] * 3)}, wide.astype(">u2").tobytes(), True)
    yield "palette.tif", saved(small.quantize(64), "TIFF")
    yield "rgba.tif", saved(rgba, "TIFF", compression="tiff_lzw")
    four = np.dstack([np.minimum(a, alpha[..., None]), alpha])
    yield "premultiplied.tif", tiff(w, h, {258: ("H", [8] * 4), 262: ("H", [2]), 277: ("H", [4]), 338: ("H", [1])}, four.tobytes())
    yield "grey_alpha.tif", saved(Image.merge("LA", [small.convert("L"), Image.fromarray(alpha)]), "TIFF")
    yield "cmyk.tif", saved(cmyk, "TIFF", compression="tiff_lzw")
    yield "planar.tif", tiff(w, h, {**rgb_tags, 284: ("H", [2]), 278: ("I", [h])}, [a[..., c].tobytes() for c in range(3)])
    yield "orientation6.tif", tiff(w, h, {**rgb_tags, 274: ("H", [6])}, a.tobytes())
    yield "orientation3.tif", tiff(w, h, {**rgb_tags, 274: ("H", [3])}, a.tobytes())
    tile = lambda y, x: np.pad(a[y:y + 16, x:x + 16], ((0, 16 - min(16, h - y)), (0, 16 - min(16, w - x)), (0, 0))).tobytes()
    yield "tiled.tif", tiff(w, h, {**rgb_tags, 322: ("I", [16]), 323: ("I", [16])}, [tile(0, 0), tile(0, 16)])
    yield "one_row.tif", saved(drawing(31, 1), "TIFF")


# ---- what the encoder sees ---------------------------------------------------------------------

def padded(im):
    """LLaVA's pad to square: the mean colour, truncated to whole numbers, picture in the middle."""
    width, height = im.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), tuple(int(m * 255) for m in MEAN))
    square.paste(im, ((side - width) // 2, (side - height) // 2))
    return square


def fnv1a(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def main():
    from transformers import CLIPImageProcessor

    for folder in ("pictures", "rgb", "pixels"):
        (OUT / folder).mkdir(parents=True, exist_ok=True)
        for old in (OUT / folder).iterdir():
            old.unlink()
    lines = []
    for name, data in pictures():
        (OUT / "pictures" / name).write_bytes(data)
        rgb = Image.open(OUT / "pictures" / name).convert("RGB")
        (OUT / "rgb" / f"{name}.ppm").write_bytes(saved(rgb, "PPM"))
        for aspect in ("pad", "crop"):
            for side in (16, 48) if name == "tall.png" else (48, 336) if name.split(".")[0] in ("q95_444", "one_column", "one_row", "one_pixel", "long") else (48,):
                clip = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
                source = padded(rgb) if aspect == "pad" else rgb
                options = {"return_tensors": "np", "input_data_format": "channels_last"}
                pixels = clip(np.asarray(source), do_rescale=False, do_normalize=False, **options)["pixel_values"][0]
                lines.append(f"{name} {aspect} {side} {fnv1a(pixels.astype(np.uint8).transpose(1, 2, 0).tobytes()):016x}")
                if name in ("q95_444.jpg", "long.png") and side == 48:
                    whole = clip(np.asarray(source), **options)["pixel_values"][0]
                    (OUT / "pixels" / f"{name}.{aspect}.{side}.f32").write_bytes(whole.astype("<f4").tobytes())
    (OUT / "resized.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
