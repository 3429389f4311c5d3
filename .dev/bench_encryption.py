"""What bench.py measures of encryption: whole jobs beside a plain copy, a SHA-512 stream and qemu-img, and the filter's
cipher beside libcrypto's own."""
import os, re, subprocess

PACKED = {"qcow2": [], "qcow2 (zlib)": ["-c"], "qcow2 (zstd)": ["-c", "-o", "compression_type=zstd"]}
CHEAP = {"CRYPTO_PBKDF_FORCE_ITERATIONS": "4", "CRYPTO_PBKDF_MEMORY": "32768"}


def drover(*arguments, text=None):
    subprocess.run(["drover", *arguments], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def secret(name, settings):
    lines = "".join(f'  {key}: "{value}"\n' for key, value in {"CRYPTO_KEY_VALUE": "bench", **settings}.items())
    drover("apply", "-f", "-", text=(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: longhorn-system}}\nstringData:\n{lines}"))


def clone(name, source, work, key="cheap"):
    return ["drover", "image", "create", name, "--from-image", source, f"--{work}", "--secret", f"longhorn-system/{key}",
            "--wait"]


def prepare(image, scratch):
    """Secrets, an image that only costs its key, and the image in every kind of qcow2."""
    secret("cheap", CHEAP)
    secret("usual", {})
    with open(f"{scratch}/tiny", "wb") as file:
        file.truncate(1 << 20)
    drover("image", "create", "tiny", "--from-file", f"{scratch}/tiny", "--wait")
    for number, options in enumerate(PACKED.values()):
        subprocess.run(
            ["qemu-img", "convert", "-O", "qcow2", *options, image, f"{scratch}/qcow2-{number}"], check=True)
        drover("image", "create", f"qcow2-{number}", "--from-file", f"{scratch}/qcow2-{number}", "--wait")


def round_of(bench, scratch, number):
    def folder(name):
        images = f"{bench.daemon.state}/images"
        [found] = [each for each in os.listdir(images) if each.rsplit("-", 1)[0] == name]
        return f"{images}/{found}"

    def measure(row, name, source, work, key="cheap"):
        bench.measure(row, clone(name, source, work, key), folder(source), f"backingimage/{name}")

    sealed, opened = f"sealed-{number}", f"opened-{number}"
    measure("derive a key", f"tiny-{number}", "tiny", "encrypt")
    if number == 1:
        measure("derive a key as Longhorn does", "usual-1", "tiny", "encrypt", "usual")
    measure("encrypt", sealed, "image", "encrypt")
    measure("decrypt", opened, sealed, "decrypt")
    hashing = ["openssl", "dgst", "-sha512", f"{folder(sealed)}/backing"]
    bench.measure("one SHA-512 stream over it", hashing, folder(sealed))
    for name in (f"tiny-{number}", sealed, opened):
        drover("delete", "backingimage", name, "--wait")
    for packed, kind in enumerate(PACKED):
        measure(f"encrypt {kind}", f"sealed-{packed}-{number}", f"qcow2-{packed}", "encrypt")
        out = f"{scratch}/raw"
        bench.measure(
            f"qemu-img convert {kind}",
            ["sh", "-c", f"qemu-img convert -O raw {scratch}/qcow2-{packed} {out} && sync {out}"],
            f"{scratch}/qcow2-{packed}")
        os.unlink(out)
        drover("delete", "backingimage", f"sealed-{packed}-{number}", "--wait")


def against(bench, row):
    """How long a row takes beside what it is measured against; nil where it is no row of encryption."""
    wall = bench.median(row)[0]
    work = wall - bench.median("derive a key")[0] if "derive a key" in bench.runs else wall
    if row in ("encrypt", "decrypt"):
        slower = max(bench.median(peer)[0] for peer in ("clone", "one SHA-512 stream over it"))
        return f"{work / slower:.2f} of the slower of clone and SHA-512, without the key"
    if row.startswith("encrypt qcow2"):
        peer = f"qemu-img convert {row.removeprefix('encrypt ')}"
        return f"{work / bench.median(peer)[0]:.2f} of {peer}, without the key"
    return None


def cipher(scratch):
    """The cipher in bytes a second and CPU second: Drover's on sectors of 512 bytes, `openssl speed` on 16 KiB."""
    ours = subprocess.run([f"{scratch}/sectors"], check=True, capture_output=True, text=True).stdout
    lines = [line for line in ours.splitlines() if line]
    for name in ("aes-128-xts", "aes-256-xts"):
        speed = subprocess.run(
            ["openssl", "speed", "-mr", "-seconds", "2", "-bytes", "16384", "-evp", name], check=True,
            capture_output=True, text=True)
        found = re.search(r"^\+F:\d+:[^:]+:([\d.]+)", speed.stdout, re.MULTILINE)
        lines.append(f"openssl speed -evp {name} -bytes 16384: {float(found[1]) / 1e9:.2f} GB/s")
    return "\n".join(lines)
