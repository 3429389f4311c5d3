"""Backup and restore over S3: Drover beside restic, and beside what rclone needs for the very objects that Drover made,
which is the server's own limit. One server for all, `rclone serve s3` on loopback. Called by `./dev bench`, or by hand
with the programs on PATH; it has a daemon of its own.

bench_s3.py SCRATCH IMAGE [ROUNDS]: prints a Markdown table of medians."""
import os, shutil, socket, subprocess, sys, time

import bench

KEY, SECRET = "BENCHKEY", "benchsecret"


class Server:
    """`rclone serve s3` over a folder; a bucket is a folder in it."""

    def __init__(self, scratch):
        self.root = os.path.join(scratch, "s3")
        for bucket in ("drover", "restic", "limit"):
            os.makedirs(f"{self.root}/{bucket}")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            ["rclone", "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{self.port}", "--vfs-cache-mode",
             "off", "--auth-key", f"{KEY},{SECRET}", self.root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit("rclone serve s3 did not start")
                time.sleep(0.05)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def copy(self, source, target):
        """rclone as a client, eight objects at a time."""
        remote = f":s3,provider=Other,access_key_id={KEY},secret_access_key={SECRET},endpoint='{self.url}':"
        return ["rclone", "copy", "--config", "/dev/null", "-q", "--transfers", "8", "--s3-no-check-bucket",
                *(place.replace("S3:", remote) for place in (source, target))]


def apply(server):
    subprocess.run(["drover", "apply", "-q", "-f", "-", "--wait"], text=True, check=True, stdout=subprocess.DEVNULL, input=(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s3, namespace: longhorn-system}\n"
        f"stringData: {{AWS_ACCESS_KEY_ID: {KEY}, AWS_SECRET_ACCESS_KEY: {SECRET}, AWS_ENDPOINTS: '{server.url}'}}\n"
        "---\napiVersion: longhorn.io/v1beta2\nkind: BackupTarget\nmetadata: {name: bucket}\n"
        "spec: {backupTargetURL: 's3://drover@us-east-1/', credentialSecret: s3, pollInterval: '0'}\n"))


def empty(folder):
    shutil.rmtree(folder, ignore_errors=True)


def main():
    scratch, image = sys.argv[1], sys.argv[2]
    place = lambda name: os.path.join(scratch, "s3-bench", name)
    os.makedirs(place(""))
    os.environ.update(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, RESTIC_PASSWORD="bench")
    server = Server(scratch)
    daemon = bench.Daemon(place(""))
    runs = bench.Bench(daemon)
    try:
        bench.drover("image", "create", "image", "--from-file", image, "--wait")
        apply(server)
        for number in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1):
            images = f"{daemon.state}/images"
            # Names of its own in each round: the server remembers what it has listed.
            restic = ["restic", "-q", "--no-cache", "-r", f"s3:{server.url}/restic/{number}"]
            limit = f"limit/{number}"
            backup = ["drover", "backup", "create", "image", "image", "--target", "bucket", "--wait"]
            runs.measure("backup, S3", backup, images, "backupbackingimage/image-bucket")
            subprocess.run([*restic, "init"], check=True, stdout=subprocess.DEVNULL)
            runs.measure("restic backup, S3", [*restic, "backup", image], image)
            stored = f"{server.root}/drover"
            runs.measure("rclone, Drover's objects to S3", server.copy(stored, f"S3:{limit}"), stored)
            restored = f"restored-{number}"
            restore = ["drover", "image", "create", restored, "--from-backup", "s3://drover@us-east-1/?backingImage=image", "--wait"]
            runs.measure("restore, S3", restore, stored, f"backingimage/{restored}")
            runs.measure("restic restore, S3", [
                "sh", "-c", f"{' '.join(restic)} restore latest --target {place('out')} && sync {place('out')}{image}"],
                f"{server.root}/restic/{number}")
            runs.measure("rclone, Drover's objects from S3", server.copy(f"S3:{limit}", place("back")), f"{server.root}/{limit}")
            bench.drover("delete", "backingimage", restored, "--wait")
            bench.drover("delete", "backupbackingimage", "image-bucket", "--wait")
            for folder in (place("out"), place("back")):
                empty(folder)
    finally:
        daemon.stop()
        server.process.terminate()
        server.process.wait()
    print("| over S3 | wall s | CPU s | peak MiB | ratio |\n| --- | --- | --- | --- | --- |")
    for row in runs.runs:
        wall, cpu, memory = runs.median(row)
        ratio = ""
        if row in ("backup, S3", "restore, S3"):
            limit = "rclone, Drover's objects " + ("to S3" if row.startswith("backup") else "from S3")
            ratio = f"{runs.median('restic ' + row)[0] / wall:.1f}x restic; {runs.median(limit)[0] / wall:.1f}x rclone"
        print(f"| {row} | {wall:.2f} | {cpu:.2f} | {memory} | {ratio} |")


if __name__ == "__main__":
    main()
