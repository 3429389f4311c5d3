// swift-tools-version:6.2
import PackageDescription

// `./dev` sets DROVER_WARNINGS=error for tests and lint: a build of this project has no warnings.
// A user's newer compiler may know new ones, so a plain `swift build` only prints them.
let base: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ] + (Context.environment["DROVER_WARNINGS"] == "error" ? [.treatAllWarnings(as: .error)] : [])

// The targets where C pointers live: each call into C is marked `unsafe`, which is the list a reviewer reads.
let wrapper: [SwiftSetting] = base + [.strictMemorySafety()]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

func stage(_ folder: String, _ target: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(
    name: target, dependencies: ["StageKit", "CDroverPlugin"] + dependencies, path: "plugins/\(folder)",
    swiftSettings: base)
}

// All tests are one program, and each plugin that is linked into it brings its own `drover_plugin_v1`. Nothing calls
// that by name, so any one will do.
func tests(
  _ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil
) -> Target {
  .testTarget(
    name: name, dependencies: ["TestKit"] + dependencies, resources: resources, swiftSettings: base,
    linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-multiple-definition"])])
}

let package = Package(
  name: "drover",
  products: [
    .executable(name: "drover", targets: ["drover"]),
    .executable(name: "droverd", targets: ["droverd"]),
    .executable(name: "drover-worker", targets: ["drover-worker"]),
    .executable(name: "drover-policy", targets: ["drover-policy"]),
    .executable(name: "drover-export", targets: ["drover-export"]),
    // A product called `crypto` would become libcrypto.so and break the link of OpenSSL; hence the prefix.
    .library(name: "drover-stage-clone", type: .dynamic, targets: ["CloneStage"]),
    .library(name: "drover-stage-backup", type: .dynamic, targets: ["BackupStage"]),
    .library(name: "drover-stage-restore", type: .dynamic, targets: ["RestoreStage"]),
    .library(name: "drover-stage-download", type: .dynamic, targets: ["DownloadStage"]),
    .library(name: "drover-stage-crypto", type: .dynamic, targets: ["CryptoStage"]),
    .library(name: "drover-stage-file", type: .dynamic, targets: ["FileStage"]),
    .library(name: "drover-stage-volume", type: .dynamic, targets: ["VolumeStage"]),
    .library(name: "drover-stage-upload", type: .dynamic, targets: ["UploadStage"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // C: the plugin contract, and one shim for each library, each imported by exactly one target.
    .target(name: "CDroverPlugin"),
    .target(name: "CLinux"),
    .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("crypto")]),
    // Optimized in debug builds as well: else it is slower there than what it is to be faster than.
    .target(name: "CSHA512", cSettings: [.unsafeFlags(["-O2"])]),
    .target(name: "CCryptsetup", linkerSettings: [.linkedLibrary("cryptsetup")]),
    .target(name: "CCurl", linkerSettings: [.linkedLibrary("curl")]),
    .target(name: "CLZ4", linkerSettings: [.linkedLibrary("lz4")]),
    .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),
    .target(name: "CZstd", linkerSettings: [.linkedLibrary("zstd")]),
    .target(name: "CLua", linkerSettings: [.linkedLibrary("lua5.4")]),
    .target(name: "CNFS", linkerSettings: [.linkedLibrary("nfs")]),

    // Wrappers.
    .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: wrapper),
    .target(name: "OpenSSL", dependencies: ["COpenSSL", "CSHA512"], swiftSettings: wrapper),
    .target(name: "Compression", dependencies: ["CLZ4", "CZlib", "CZstd"], swiftSettings: wrapper),
    .target(name: "Curl", dependencies: ["CCurl"], swiftSettings: wrapper),
    .target(name: "NFS", dependencies: ["CNFS", "LinuxSystem"], swiftSettings: wrapper),

    // Values.
    .target(name: "DroverModel", swiftSettings: base),
    .target(name: "Manifests", dependencies: ["DroverModel", "Yams"], swiftSettings: base),
    .target(name: "Planner", dependencies: ["DroverModel"], swiftSettings: base),
    .target(name: "ChildProtocol", dependencies: ["DroverModel", "LinuxSystem"], swiftSettings: base),

    // Policies.
    .target(
      name: "LuaHost", dependencies: ["CLua", "ChildProtocol", "DroverModel", "LinuxSystem"], swiftSettings: wrapper),
    .executableTarget(name: "drover-policy", dependencies: ["LuaHost"], swiftSettings: base),

    // Data.
    .target(name: "DiskImage", dependencies: ["Compression", "LinuxSystem", "OpenSSL"], swiftSettings: base),
    .target(name: "LUKS", dependencies: ["CCryptsetup", "DiskImage", "LinuxSystem"], swiftSettings: wrapper),
    .target(
      name: "Backupstore", dependencies: ["DroverModel", "LinuxSystem", "OpenSSL", "Compression", "Curl", "NFS"],
      swiftSettings: base),
    .target(name: "VolumeStore", dependencies: ["DiskImage", "LinuxSystem"], swiftSettings: base),
    .target(name: "NBD", dependencies: ["LinuxSystem"], swiftSettings: base),
    .target(name: "StageKit", dependencies: ["CDroverPlugin", "LinuxSystem"], swiftSettings: base),
    stage("clone", "CloneStage", ["DiskImage", "LinuxSystem"]),
    stage("crypto", "CryptoStage", ["DiskImage", "LUKS", "LinuxSystem", "OpenSSL"]),
    .target(name: "StoreStage", dependencies: ["Backupstore", "StageKit"], swiftSettings: base),
    stage("backup", "BackupStage", ["Backupstore", "Compression", "DroverModel", "LinuxSystem", "StoreStage"]),
    stage("restore", "RestoreStage", ["Backupstore", "DiskImage", "LinuxSystem", "StoreStage"]),
    stage("download", "DownloadStage", ["Curl"]),
    stage("upload", "UploadStage", ["LinuxSystem"]),
    stage("volume", "VolumeStage", ["DiskImage", "LinuxSystem", "VolumeStore"]),
    stage("file", "FileStage", ["LinuxSystem"]),
    .target(
      name: "Runner",
      dependencies: ["CDroverPlugin", "ChildProtocol", "DroverModel", "LinuxSystem", "NBD", "OpenSSL"],
      swiftSettings: base),
    .target(name: "LocalWorker", dependencies: ["ChildProtocol", "DroverModel", "LinuxSystem"], swiftSettings: base),
    .executableTarget(
      name: "drover-worker", dependencies: ["Runner", "ChildProtocol", "DroverModel"], swiftSettings: base),
    .executableTarget(name: "drover-export", dependencies: ["Runner"], swiftSettings: base),

    // Control.
    .target(
      name: "Engine",
      dependencies: [
        "DroverModel", "Planner", "ChildProtocol", "LinuxSystem", "OpenSSL", logging,
        .product(name: "GRDB", package: "GRDB.swift"),
      ], swiftSettings: base),
    .target(name: "ControlAPI", dependencies: ["DroverModel"], swiftSettings: base),
    .target(
      name: "ControlServer",
      dependencies: [
        "ControlAPI", "DroverModel", "Engine", "LinuxSystem", logging,
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ], swiftSettings: base),
    .target(name: "ControlClient", dependencies: ["ControlAPI", "DroverModel", "Curl"], swiftSettings: base),
    .executableTarget(
      name: "droverd",
      dependencies: [
        "ControlServer", "DroverModel", "Engine", "LinuxSystem", "Manifests", argumentParser, logging,
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ], swiftSettings: base),
    .executableTarget(
      name: "drover",
      dependencies: [
        "ChildProtocol", "ControlAPI", "ControlClient", "DroverModel", "LinuxSystem", "LocalWorker", "Manifests",
        argumentParser,
      ],
      swiftSettings: base),

    // Tests. What is shared by several is in TestKit.
    .target(name: "TestKit", dependencies: ["Compression", "LinuxSystem"], path: "Tests/TestKit", swiftSettings: base),
    tests("LinuxSystemTests", ["LinuxSystem"]),
    tests("DroverModelTests", ["DroverModel", "Manifests"]),
    tests("PlannerTests", ["Planner", "DroverModel"]),
    tests("ChildProtocolTests", ["ChildProtocol", "DroverModel", "LinuxSystem"]),
    tests(
      "DiskImageTests",
      ["DiskImage", "Compression", "CloneStage", "FileStage", "StageKit", "LinuxSystem", "OpenSSL"]),
    tests(
      "LUKSTests",
      [
        "LUKS", "DiskImage", "CloneStage", "CryptoStage", "StageKit", "CDroverPlugin", "Runner", "ChildProtocol",
        "DroverModel", "LinuxSystem", "OpenSSL",
      ]),
    tests(
      "BackupstoreTests",
      [
        "Backupstore", "BackupStage", "RestoreStage", "StageKit", "CDroverPlugin", "Compression", "Curl", "NFS",
        "OpenSSL", "LinuxSystem",
        "Runner", "ChildProtocol", "DroverModel",
      ],
      resources: [.copy("Fixtures")]),
    tests(
      "PluginTests",
      [
        "StageKit", "CDroverPlugin", "UploadStage", "LinuxSystem", "LocalWorker", "Runner", "ChildProtocol",
        "DroverModel",
      ],
      resources: [.copy("Plugins")]),
    tests("VolumeStoreTests", ["VolumeStore", "VolumeStage", "StageKit", "LinuxSystem"]),
    tests("NBDTests", ["NBD", "LinuxSystem"]),
    tests(
      "RunnerTests", ["Runner", "CDroverPlugin", "ChildProtocol", "DroverModel", "LinuxSystem", "NBD", "OpenSSL"]),
    tests(
      "EngineTests",
      [
        "Engine", "Planner", "ChildProtocol", "DroverModel", "LinuxSystem", "LuaHost", "OpenSSL", logging,
        .product(name: "GRDB", package: "GRDB.swift"),
      ]),
    tests("LuaHostTests", ["LuaHost", "ChildProtocol", "DroverModel", "LinuxSystem"]),
    tests("DownloadTests", ["DownloadStage", "StageKit", "ControlClient", "DroverModel"]),
    tests(
      "ControlTests",
      [
        "ControlServer", "ControlClient", "ControlAPI", "Engine", "DroverModel", "Curl", "LinuxSystem", "droverd",
        logging,
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    tests("CommandLineTests", ["DroverModel", "Manifests", "ControlAPI", "LinuxSystem"]),
    tests(
      "EndToEndTests",
      ["Backupstore", "DroverModel", "LinuxSystem", "OpenSSL", .product(name: "GRDB", package: "GRDB.swift")],
      resources: [.copy("Faults/effects.c")]),
  ]
)
