import Backupstore
import Foundation
import Glibc
import LinuxSystem
import TestKit

/// `nfs-ganesha` with a port mapper of its own, in a network of its own, so that it disturbs no other. A relay leads in.
final class Ganesha: Sendable {
  static let shared: Ganesha? = try? Ganesha()
  static var isMissing: String? { shared == nil ? "nfs-ganesha with rpcbind can't be started in unshare -n here" : nil }

  let root = TemporaryFolder("ganesha")
  private let nfsPort = ServerProcess.freePort()
  private let mountPort = ServerProcess.freePort()
  private let servers: [ServerProcess]

  private init() throws {
    for tool in ["ganesha.nfsd", "rpcbind", "ip", "python3"] where TestTool.path(tool) == nil {
      throw SystemError("find \(tool)", errno: ENOENT)
    }
    for name in ["export", "recovery"] { try Folder.create(root(name), permissions: 0o755) }
    let text = """
      NFS_CORE_PARAM {
        Protocols = 3,4; NFS_Port = 2049; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false;
      }
      NFSV4 { Graceless = true; RecoveryRoot = \(root("recovery")); }
      EXPORT {
        Export_Id = 1; Path = \(root("export")); Pseudo = /export; Access_Type = RW; Squash = No_Root_Squash;
        SecType = sys; Protocols = 3,4; Transports = TCP; FSAL { Name = VFS; }
      }
      """
    try text.write(toFile: root("ganesha.conf"), atomically: true, encoding: .utf8)
    try Self.relay.write(toFile: root("relay.py"), atomically: true, encoding: .utf8)
    let inside = """
      PATH=$PATH:/usr/sbin:/sbin
      ip link set lo up
      rpcbind -f -w &
      sleep 1
      ganesha.nfsd -F -f \(root("ganesha.conf")) -L \(root("ganesha.log")) -p \(root("pid")) &
      python3 \(root("relay.py")) tcp 2049 \(root("nfs")) &
      exec python3 \(root("relay.py")) tcp 20048 \(root("mountd"))
      """
    try inside.write(toFile: root("inside.sh"), atomically: true, encoding: .utf8)
    let ports = [(nfsPort, "nfs"), (mountPort, "mountd")]
    let folder = root
    servers =
      try ports.map { port, socket in
        try ServerProcess(
          ["python3", folder("relay.py"), "unix", folder(socket), "\(port)"], port: port, log: folder("log-\(socket)"))
      } + [
        // The first relay answers at once; whether anything is behind it is seen when it is used.
        ServerProcess(["unshare", "-n", "sh", folder("inside.sh")], port: nfsPort, log: folder("log"))
      ]
    try until("the export can be used") {
      try? Folder.create(root("export/probe"), permissions: 0o755)
      return (try? openStore(StoreURL(url("probe", version: 3)), stallSeconds: 5)) != nil
    }
  }

  /// A folder of its own below the export.
  func makeFolder() throws -> String {
    let name = "store-\(UUID().uuidString.prefix(8).lowercased())"
    try Folder.create(root("export/\(name)"), permissions: 0o755)
    return name
  }

  func url(_ folder: String, version: Int) -> String {
    version == 3
      ? "nfs://127.0.0.1:\(root("export"))/\(folder)?nfsOptions=nfsvers=3,port=\(nfsPort),mountport=\(mountPort)"
      : "nfs://127.0.0.1:/export/\(folder)?nfsOptions=nfsvers=4,port=\(nfsPort)"
  }

  private static let relay = """
    import os, socket, sys, threading
    kind = sys.argv[1]
    if kind == "tcp":
        target, place = ("127.0.0.1", int(sys.argv[2])), sys.argv[3]
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(place)
        family = socket.AF_INET
    else:
        target, family = sys.argv[2], socket.AF_UNIX
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(sys.argv[3])))
    listener.listen(64)
    def pump(a, b):
        try:
            while data := a.recv(1 << 18):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try: s.shutdown(socket.SHUT_RDWR)
            except OSError: pass
    while True:
        near, _ = listener.accept()
        far = socket.socket(family)
        try:
            far.connect(target)
        except OSError:
            near.close()
            continue
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()

    """
}
