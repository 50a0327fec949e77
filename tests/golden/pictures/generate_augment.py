"""Writes augment.safetensors: what OpenCV (5.0) makes of a small picture, for augmentation.

picture             H x W x 3 bytes, blue, green, red
MODE/HxW            resize(picture, MODE), bytes
hsv, back           cvtColor(BGR2HSV) and of that cvtColor(HSV2BGR), bytes
lab                 cvtColor(BGR2Lab) of picture / 255, floats
blur                GaussianBlur(7x7, 1.5), bytes
erode               erode by an ellipse of 3x3, bytes
hist_eq             equalizeHist of the Y channel of YCrCb, bytes
pad/MODE            copyMakeBorder by 4 above, 5 below, bytes
"""
import cv2
import numpy as np
from safetensors.numpy import save_file

cv2.setNumThreads(1)
random = np.random.default_rng(3)
y, x = np.mgrid[0:19, 0:23]
smooth = np.stack([x * 9, y * 11, (x + y) * 5], axis=2)
picture = (smooth + random.integers(-40, 40, smooth.shape)).clip(0, 255).astype(np.uint8)

out = {"picture": picture}
modes = {"nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA, "cubic": cv2.INTER_CUBIC, "lanczos4": cv2.INTER_LANCZOS4}
for name, mode in modes.items():
    for h, w in [(7, 9), (13, 23), (10, 10)] + ([] if name == "area" else [(31, 40), (11, 40)]):
        out[f"{name}/{h}x{w}"] = cv2.resize(picture, (w, h), interpolation=mode)
out["hsv"] = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)
out["back"] = cv2.cvtColor(out["hsv"], cv2.COLOR_HSV2BGR)
out["lab"] = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
out["blur"] = cv2.GaussianBlur(picture, (7, 7), 1.5)
out["erode"] = cv2.erode(picture, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
ycc = list(cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)))
ycc[0] = cv2.equalizeHist(ycc[0])
out["hist_eq"] = cv2.cvtColor(cv2.merge(ycc), cv2.COLOR_YCrCb2BGR)
borders = {"CONSTANT": cv2.BORDER_CONSTANT, "MIRRORED": cv2.BORDER_REFLECT_101, "REPEAT_NEAREST": cv2.BORDER_REPLICATE}
for name, border in borders.items():
    out[f"pad/{name}"] = cv2.copyMakeBorder(picture, 4, 5, 0, 0, border, value=(1, 2, 3))
save_file({name: np.ascontiguousarray(array) for name, array in out.items()}, "augment.safetensors")
