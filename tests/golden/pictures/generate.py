"""Writes pictures.safetensors: what OpenCV (4.10) makes of small pictures.

encoded/NAME        the file's bytes
native/NAME         imdecode(IMREAD_UNCHANGED), H x W (x C)
bgr/NAME            imdecode(IMREAD_COLOR), H x W x 3
gray/NAME           imdecode(IMREAD_GRAYSCALE), H x W
resize/HxW          resize(native of `noise.png`, INTER_LINEAR)
"""
import io

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file

cv2.setNumThreads(1)
random = np.random.default_rng(7)
noise = random.integers(0, 256, (20, 28, 3), dtype=np.uint8)
grey = random.integers(0, 256, (9, 11), dtype=np.uint8)
alpha = random.integers(0, 256, (6, 7, 4), dtype=np.uint8)
y, x = np.mgrid[0:37, 0:45]
smooth = np.stack([x * 5, y * 6, (x + y) * 3], axis=2).clip(0, 255).astype(np.uint8)

encode = lambda ext, picture, *how: cv2.imencode(ext, picture, list(how))[1].reshape(-1)
S = cv2.IMWRITE_JPEG_SAMPLING_FACTOR
files = {
    "noise.png": encode(".png", noise),
    "grey.png": encode(".png", grey),
    "alpha.png": encode(".png", alpha),
    "grey.jpg": encode(".jpg", grey),
    "smooth444.jpg": encode(".jpg", smooth, S, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "smooth420.jpg": encode(".jpg", smooth, S, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    "noise420.jpg": encode(".jpg", noise, S, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
}
# The same with EXIF that says: turn by 90 degrees clockwise (orientation 6).
exif = bytes.fromhex("ffe10022457869660000" "49492a0008000000" "0100" "120103000100000006000000" "00000000")
jpeg = files["smooth444.jpg"].tobytes()
files["turned.jpg"] = np.frombuffer(jpeg[:2] + exif + jpeg[2:], dtype=np.uint8)

# Inks, which printers' files hold inverted (Adobe's CMYK); OpenCV writes none.
inks = np.stack([x * 5, y * 6, (x + y) * 3, 250 - x * 3], axis=2).clip(0, 255).astype(np.uint8)
file = io.BytesIO()
Image.fromarray(inks, "CMYK").save(file, "jpeg", quality=95)
files["inks.jpg"] = np.frombuffer(file.getvalue(), dtype=np.uint8)

out = {}
for name, data in files.items():
    out[f"encoded/{name}"] = data
    for way, flag in [("native", cv2.IMREAD_UNCHANGED), ("bgr", cv2.IMREAD_COLOR), ("gray", cv2.IMREAD_GRAYSCALE)]:
        out[f"{way}/{name}"] = cv2.imdecode(data, flag)
for h, w in [(10, 14), (20, 14), (10, 28), (7, 9), (33, 41), (40, 56), (1, 1), (20, 27), (5, 100), (61, 3)]:
    out[f"resize/{h}x{w}"] = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR)
save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, "pictures.safetensors", {"opencv": cv2.__version__})
print({k: v.shape for k, v in out.items()})
