"""The machine's first processor, as /proc/cpuinfo describes it."""

from __future__ import annotations

from pathlib import Path

from otelingest.processors.resource_detection.finding import Value

_MAKERS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x44: "DEC",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x49: "Infineon",
    0x4D: "Motorola/Freescale",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x56: "Marvell",
    0x61: "Apple",
    0x69: "Intel",
    0xC0: "Ampere",
}
"""ARM's numbers of implementers."""


def first(proc: Path) -> dict[str, Value | None]:
    """Its `host.cpu.*`. Raises OSError and ValueError."""
    lines = _first_block((proc / "cpuinfo").read_text("utf-8", "replace"))
    maker = lines.get("vendor_id") or lines.get("vendorId")
    if maker is None and "CPU implementer" in lines:
        maker = _MAKERS.get(int(lines["CPU implementer"], 0), "")
    stepping = lines.get("stepping") or lines.get("CPU revision") or lines.get("revision", "0").split(".")[0]
    return {
        "host.cpu.vendor.id": maker or "",
        "host.cpu.family": lines.get("cpu family", ""),
        "host.cpu.model.id": lines.get("model") or lines.get("CPU part"),
        "host.cpu.model.name": lines.get("model name") or lines.get("Model Name") or lines.get("cpu", ""),
        "host.cpu.stepping": "0" if stepping.lower() == "unknown" else str(int(stepping)),
        "host.cpu.cache.l2.size": int(lines.get("cache size", "0 KB").removesuffix(" KB")),
    }


def _first_block(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and found.get("processor"):
            break
        if colon:
            found.setdefault(key, value)
    return found
