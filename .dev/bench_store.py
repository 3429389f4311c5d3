"""Looking after a store with many blocks: drover target verify (structure) and gc, at 10,000 and 100,000 blocks, and
verify --all of a real image. Called by `./dev bench`, or by hand with the programs on PATH; it has a daemon of its own.

bench_store.py SCRATCH [IMAGE]: prints a Markdown table. The blocks of the large stores are empty names, for neither
command reads blocks: what is measured is listing, counting and removing. Each time includes the two seconds that the
store's format makes who takes a lock wait, where one is taken (gc)."""
import hashlib, os, random, re, subprocess, sys, time

BLOCK = 2 << 20


def make_store(folder, blocks):
    """Nine of ten blocks belong to one of ten images, the others to nobody."""
    pool = f"{folder}/backupstore/backing-images/blocks"
    seed = random.Random(blocks)
    names = [seed.randbytes(32).hex() for _ in range(blocks)]
    for first in range(256):
        for second in range(256):
            os.makedirs(f"{pool}/{first:02x}/{second:02x}", exist_ok=True)
    for name in names:
        os.close(os.open(f"{pool}/{name[:2]}/{name[2:4]}/{name}.blk", os.O_CREAT | os.O_WRONLY))
    needed = names[: blocks * 9 // 10]
    share = len(needed) // 10
    for image in range(10):
        entries = needed[image * share : (image + 1) * share]
        listed = ",".join(f'{{"Offset":{at * BLOCK},"BlockChecksum":"{name}"}}' for at, name in enumerate(entries))
        path = f"{folder}/backupstore/backing-images/backing-images/image-{image}"
        os.makedirs(path)
        with open(f"{path}/backing-image.cfg", "w") as file:
            file.write(
                f'{{"Name":"image-{image}","Size":"{share * BLOCK}","BlockCount":"{share}","Checksum":"",'
                f'"Labels":null,"CompressionMethod":"lz4","CreatedTime":"2026-01-05T10:00:02Z",'
                f'"CompleteTime":"2026-01-05T10:00:09Z","Secret":"","SecretNamespace":"",'
                f'"ProcessingBlocks":{{"Blocks":{{}}}},"Blocks":[{listed}]}}')
    os.sync()


def run(*command, code=0):
    begin = time.monotonic()
    ended = subprocess.run(["drover", *command], capture_output=True, text=True)
    if ended.returncode != code:
        sys.exit(f"drover {' '.join(command)}: {ended.returncode}: {ended.stderr}")
    return time.monotonic() - begin, ended.stdout


def memory(kind):
    """MiB at the most, of the worker of the newest job of that type."""
    jobs = [line.split() for line in run("job", "list")[1].splitlines()[1:]]
    job = next(words[0] for words in jobs if words[1] == kind)
    found = re.findall(r"the worker used .* at most (\d+) MiB", run("job", "logs", job)[1])
    return int(found[-1]) if found else 0


def apply(text):
    subprocess.run(["drover", "apply", "-q", "-f", "-", "--wait"], input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def target(name, folder):
    apply(
        f"apiVersion: longhorn.io/v1beta2\nkind: BackupTarget\nmetadata: {{name: {name}}}\n"
        f"spec: {{backupTargetURL: 'file://{folder}', pollInterval: '0'}}\n")


def many_blocks(scratch, blocks):
    folder = f"{scratch}/many-{blocks}"
    make_store(folder, blocks)
    name = f"many-{blocks}"
    target(name, folder)
    rows = []
    for row, kind, command in [
        ("verify, structure", "verify", ["target", "verify", name, "-q"]),
        ("gc --dry-run, a tenth unneeded", "gc", ["target", "gc", name, "--dry-run", "-q"]),
        ("gc, removing a tenth", "gc", ["target", "gc", name, "-q"]),
        ("gc, nothing to remove", "gc", ["target", "gc", name, "-q"]),
    ]:
        seconds, said = run(*command)
        if "removing" in row and f"{blocks // 10} of {blocks} blocks" not in said:
            sys.exit(f"{row}: {said}")
        rows.append((f"{row}, {blocks:,} blocks", seconds, f"{blocks / seconds:,.0f} blocks/s", memory(kind)))
    return rows


def whole_image(image):
    run("image", "create", "bench-verified", "--from-file", image, "--wait", "-q")
    run("backup", "create", "image", "bench-verified", "--wait", "-q")
    # The backup has left its blocks on the disk, and most of them in no cache; the second run reads from memory.
    cold, _ = run("target", "verify", "default", "--all", "-q")
    cold_peak = memory("verify")
    seconds, _ = run("target", "verify", "default", "--all", "-q")
    size = os.path.getsize(image)
    with open(image, "rb") as file:
        data = file.read(64 << 20)
    begin = time.monotonic()
    hashlib.sha512(data).digest()
    limit = len(data) / (time.monotonic() - begin) * len(os.sched_getaffinity(0))
    data_bytes = os.stat(image).st_blocks * 512

    def row(what, seconds, peak):
        speed = data_bytes / seconds
        share = f"{speed / 1e9:.2f} GB/s, {speed / limit:.0%} of SHA-512 on all cores"
        return (f"verify --all, {size >> 20} MiB image, {what}", seconds, share, peak)

    return [row("just backed up", cold, cold_peak), row("blocks in the page cache", seconds, memory("verify"))]


def start(scratch):
    os.environ["DROVER_SOCKET"] = socket = f"{scratch}/store.sock"
    log = open(f"{scratch}/store-droverd.log", "w")
    daemon = subprocess.Popen(
        ["droverd", "serve", "--state", f"{scratch}/store-state", "--socket", socket], stderr=log, stdout=log)
    deadline = time.monotonic() + 30
    while subprocess.run(["drover", "status"], capture_output=True).returncode != 0:
        if daemon.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the daemon did not start; see {log.name}")
        time.sleep(0.05)
    return daemon


def main():
    scratch = sys.argv[1]
    daemon = start(scratch)
    rows = []
    try:
        for blocks in (10_000, 100_000):
            rows += many_blocks(scratch, blocks)
        if len(sys.argv) > 2:
            rows += whole_image(sys.argv[2])
    finally:
        daemon.terminate()
        daemon.wait()
    print("| store | s | | MiB |\n| --- | --- | --- | --- |")
    for name, seconds, rate, peak in rows:
        print(f"| {name} | {seconds:.2f} | {rate} | {peak} |")


if __name__ == "__main__":
    main()
