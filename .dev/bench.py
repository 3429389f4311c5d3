"""Drover and its peers on one image in one run. Called by `./dev bench`; the programs are on PATH.

bench.py IMAGE-MiB ROUNDS SCRATCH: prints a Markdown table of medians. Every peer's written file is synced within its
time, as Drover's are. CPU seconds are those of all processes that belong to a row: for Drover the command line, the
daemon's part and the worker."""
import hashlib, mmap, os, random, re, statistics, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor

import bench_encryption

BLOCK = 2 << 20
TICKS = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


def make_image(path, mebibytes):
    """2 MiB blocks in a seeded order: 60 % text that compresses, 20 % noise, 20 % holes. Returns the data bytes."""
    seed = random.Random(2025)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["".join(seed.choices(letters, range(26, 0, -1), k=seed.randint(2, 10))) for _ in range(8000)]
    sentences = [" ".join(seed.choices(words, k=seed.randint(4, 14))) + ". " for _ in range(60000)]
    count = mebibytes // 2
    kinds = ["text"] * (count * 6 // 10) + ["noise"] * (count * 2 // 10)
    kinds += ["hole"] * (count - len(kinds))
    seed.shuffle(kinds)
    with open(path, "wb") as image:
        for kind in kinds:
            if kind == "hole":
                image.seek(BLOCK, os.SEEK_CUR)
                continue
            text = lambda: "".join(seed.choices(sentences, k=46000)).encode()
            image.write(seed.randbytes(BLOCK) if kind == "noise" else text()[:BLOCK].ljust(BLOCK))
        image.truncate(mebibytes << 20)
        os.fsync(image.fileno())
    return (count - kinds.count("hole")) * BLOCK


class Limits:
    """What this machine can do, measured in the same run. Bytes a second."""

    def __init__(self, image, scratch):
        data = mmap.mmap(-1, 64 << 20)
        with open(image, "rb") as file:
            data.write(file.read(64 << 20))
        self.sha512 = self.rate(len(data), lambda: hashlib.sha512(data).digest())
        self.write = max(self.direct_write(data, os.path.join(scratch, "limit")) for _ in range(3))
        listing = subprocess.run(["lz4", "-b1", "-i1", image], capture_output=True, text=True).stderr
        found = re.findall(r"([\d.]+) MB/s *, *([\d.]+) MB/s", listing.replace("\r", "\n"))
        self.lz4, self.unlz4 = (float(rate) * 1e6 for rate in found[-1])

    @staticmethod
    def rate(length, work):
        begin = time.monotonic()
        work()
        return length / (time.monotonic() - begin)

    @staticmethod
    def direct_write(data, path):
        def work():
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
            for at in range(0, 512 << 20, len(data)):
                os.pwrite(file, data, at)
            os.fsync(file)
            os.close(file)

        rate = Limits.rate(512 << 20, work)
        os.unlink(path)
        return rate

    def __str__(self):
        return (
            f"{CORES} cores; one SHA-512 stream {self.sha512 / 1e9:.2f} GB/s, lz4 {self.lz4 / 1e9:.2f} GB/s in and "
            f"{self.unlz4 / 1e9:.2f} GB/s out a core, direct writes {self.write / 1e9:.2f} GB/s"
        )


class Daemon:
    def __init__(self, scratch):
        self.state = os.path.join(scratch, "state")
        self.log = open(os.path.join(scratch, "droverd.log"), "w")
        os.environ["DROVER_SOCKET"] = socket = os.path.join(scratch, "drover.sock")
        self.process = subprocess.Popen(
            ["droverd", "serve", "--state", self.state, "--socket", socket], stderr=self.log, stdout=self.log)
        deadline = time.monotonic() + 30
        while subprocess.run(["drover", "status"], capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the daemon did not start; see {self.log.name}")
            time.sleep(0.05)

    def cpu(self):
        """Of the daemon and of every worker that it has reaped."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / TICKS

    def worker_memory(self, job):
        """MiB at the most, of the job's last worker."""
        logs = subprocess.run(["drover", "job", "logs", job], capture_output=True, text=True).stdout
        found = re.findall(r"the worker used .* at most (\d+) MiB", logs)
        return int(found[-1]) if found else None

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    def __init__(self, daemon):
        self.daemon = daemon
        self.runs = {}
        self.failed = False

    def measure(self, row, command, reads, job_of=None, cwd=None):
        """Runs a command and notes wall and CPU seconds and the peak of memory in MiB. What it reads is in the page
        cache: Drover writes around it, its peers do not."""
        os.sync()
        subprocess.run(f"find {reads} -type f -exec cat {{}} + >/dev/null", shell=True, check=True)
        is_drover = command[0] == "drover"
        before = self.daemon.cpu()
        begin = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd)
        output = process.stdout.read().decode(errors="replace")
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        if status != 0:
            sys.exit(f"failed: {' '.join(command)}\n{output}")
        cpu = used.ru_utime + used.ru_stime
        memory = used.ru_maxrss >> 10
        if is_drover:
            # The worker is reaped a moment after its job is over.
            time.sleep(0.2)
            cpu += self.daemon.cpu() - before
            if job_of:
                memory = self.daemon.worker_memory(self.job(job_of))
        self.runs.setdefault(row, []).append((wall, cpu, memory or 0))
        print(f"  {row}: {wall:.2f} s, CPU {cpu:.2f} s, {memory} MiB", file=sys.stderr)
        return wall

    @staticmethod
    def job(owner):
        shown = subprocess.run(["drover", "get", owner, "-o", "yaml"], capture_output=True, text=True).stdout
        found = re.findall(r"job-[0-9a-f]+", shown)
        return found[-1] if found else ""

    def median(self, row):
        wall, cpu, memory = zip(*self.runs[row])
        return statistics.median(wall), statistics.median(cpu), max(memory)


def drover(*arguments):
    subprocess.run(["drover", *arguments], check=True, stdout=subprocess.DEVNULL)


def round_of(bench, image, scratch, number):
    """Every row once; Drover's beside its peers'."""
    place = lambda name: os.path.join(scratch, name)
    fresh = place(f"store-{number}")
    os.makedirs(fresh)
    target = f"bench-{number}"
    manifest = (
        "apiVersion: longhorn.io/v1beta2\nkind: BackupTarget\n"
        f"metadata: {{name: {target}}}\nspec: {{backupTargetURL: 'file://{fresh}', pollInterval: '0'}}\n")
    subprocess.run(["drover", "apply", "-f", "-"], input=manifest.encode(), check=True, stdout=subprocess.DEVNULL)
    drover("wait", f"backuptarget/{target}")
    with_sync = lambda command, path: ["sh", "-c", f"{command} && sync {path}"]

    def folder(name):
        """Where Drover keeps an image."""
        [found] = [each for each in os.listdir(images) if each.rsplit("-", 1)[0] == name]
        return f"{images}/{found}"

    images = f"{bench.daemon.state}/images"
    ours = folder("image")
    bench.measure("drover version", ["drover", "version"], ours)
    clone = ["drover", "image", "create", f"clone-{number}", "--from-image", "image", "--wait"]
    bench.measure("clone", clone, ours, f"backingimage/clone-{number}")
    bench.measure(
        "cp --sparse=always", with_sync(f"cp --sparse=always {image} {place('copy')}", place("copy")), image)
    os.unlink(place("copy"))
    bench.measure(
        "qemu-img convert", with_sync(f"qemu-img convert -O raw {image} {place('copy')}", place("copy")), image)
    os.unlink(place("copy"))

    # What was touched has no checksum that can be trusted any more.
    touched = folder(f"clone-{number}")
    os.utime(f"{touched}/backing")
    unknown = ["drover", "image", "create", f"hashed-{number}", "--from-image", f"clone-{number}", "--wait"]
    bench.measure("clone, checksum unknown", unknown, touched, f"backingimage/hashed-{number}")

    backup = ["drover", "backup", "create", "image", "image", "--target", target, "--wait"]
    bench.measure("backup", backup, ours, f"backupbackingimage/image-{target}")
    bench.measure("backup again", backup, ours)
    restic = ["restic", "-q", "-r", place("restic"), "backup", "--no-cache"]
    bench.measure("restic backup", [*restic, image], image)
    bench.measure("restic backup again", [*restic, "--force", image], image)
    bench.measure("borg create", ["borg", "create", "--compression", "lz4", place("borg") + "::one", image], image)

    url = f"file://{fresh}?backingImage=image"
    restore = ["drover", "image", "create", f"restored-{number}", "--from-backup", url, "--wait"]
    bench.measure("restore", restore, fresh, f"backingimage/restored-{number}")
    bench.measure("restic restore", with_sync(
        f"restic -q -r {place('restic')} restore latest --no-cache --target {place('out')}", place("out") + image),
        place("restic"))
    subprocess.run(["rm", "-rf", place("out")])
    os.makedirs(place("out"))
    bench.measure("borg extract", with_sync(
        f"borg extract --sparse {place('borg')}::one", place("out") + image), place("borg"), cwd=place("out"))
    subprocess.run(["rm", "-rf", place("out")])

    for name in ("clone", "hashed", "restored"):
        drover("delete", "backingimage", f"{name}-{number}", "--wait")


def bound(bench, row, limits, data, size):
    """What bounds a row, from numbers of this run: the largest share of its time that one limit explains."""
    wall, cpu, _ = bench.median(row)
    shares = {"CPU on all cores": cpu / (wall * CORES)}
    if row in ("clone", "clone, checksum unknown", "restore", "upload"):
        shares["disk writes"] = data / limits.write / wall
    if row in ("clone, checksum unknown", "restore", "upload"):
        shares["one SHA-512 stream"] = size / limits.sha512 / wall
    name, share = max(shares.items(), key=lambda item: item[1])
    return f"{name}: {min(share, 1) * 100:.0f} % of the time"


def main():
    mebibytes, rounds, scratch = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    image = os.path.join(scratch, "image")
    print(f"making an image of {mebibytes} MiB", file=sys.stderr)
    # In a process of its own: what this one has resident counts as its children's peak.
    with ProcessPoolExecutor(1) as other:
        data = other.submit(make_image, image, mebibytes).result()
        limits = other.submit(Limits, image, scratch).result()
    os.environ.update(
        RESTIC_PASSWORD="bench", BORG_BASE_DIR=scratch, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")
    daemon = Daemon(scratch)
    bench = Bench(daemon)
    try:
        upload = ["drover", "image", "create", "image", "--from-file", image, "--wait"]
        bench.measure("upload", upload, image, "backingimage/image")
        bench_encryption.prepare(image, scratch)
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}", file=sys.stderr)
            subprocess.run(["restic", "-q", "-r", f"{scratch}/restic", "init"], check=True)
            subprocess.run(["borg", "init", "--encryption", "none", f"{scratch}/borg"], check=True, capture_output=True)
            round_of(bench, image, scratch, number)
            bench_encryption.round_of(bench, scratch, number)
            subprocess.run(["rm", "-rf", f"{scratch}/restic", f"{scratch}/borg"], check=True)
    finally:
        daemon.stop()
    print(bench_encryption.cipher(scratch) + "\n")
    report(bench, limits, mebibytes, rounds, data)


def report(bench, limits, mebibytes, rounds, data):
    print(f"Image of {mebibytes} MiB, {data >> 20} MiB of it data; median of {rounds}; {limits}.\n")
    print("| | wall s | CPU s | peak MiB | ratio | bounded by |\n| --- | --- | --- | --- | --- | --- |")
    peers = {
        "clone": ["cp --sparse=always", "qemu-img convert"],
        "clone, checksum unknown": ["cp --sparse=always", "qemu-img convert"],
        "backup": ["restic backup", "borg create"],
        "backup again": ["restic backup again"],
        "restore": ["restic restore", "borg extract"],
    }
    for row in bench.runs:
        wall, cpu, memory = bench.median(row)
        against = []
        for peer in peers.get(row, []):
            theirs = bench.median(peer)[0]
            against.append(f"{theirs / wall:.1f}x {peer}")
        if encrypting := bench_encryption.against(bench, row):
            against.append(encrypting)
        isOurs = row in peers or row == "upload"
        why = bound(bench, row, limits, data, mebibytes << 20) if isOurs and row != "backup again" else ""
        print(f"| {row} | {wall:.2f} | {cpu:.2f} | {memory} | {', '.join(against)} | {why} |")


if __name__ == "__main__":
    main()
