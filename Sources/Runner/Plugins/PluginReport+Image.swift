import DroverModel

extension PluginReport {
  /// Loads one file to tell what it is; a refusal is part of the answer.
  init(inspecting path: String, _ activity: Activity = Activity()) {
    do throws(Fault) {
      self.init(try PluginImage.load(path, activity))
    } catch {
      self.init(path: path, refused: error)
    }
  }

  init(_ image: PluginImage) {
    self.init(
      path: image.path, name: image.name, version: image.version, abi: image.abi,
      stages: image.stages.map { stage in
        StageReport(
          name: stage.name, summary: stage.summary,
          roles: [.source, .filter, .sink, .task].filter { stage.has($0) },
          parallel: stage.isParallel, network: stage.isNetwork, params: stage.params.map { .object($0) })
      })
  }
}
