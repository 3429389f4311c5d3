import ControlAPI
import DroverModel
import Glibc

/// Prints objects on standard output in the form that was asked for.
struct ObjectOutput {
  let format: OutputFormat
  var now = Double(time(nil))

  func show(_ resource: Resource) throws {
    switch format {
    case .table, .wide: try show(table: [resource])
    case .json: print(try APIJSON.encode(resource, pretty: true))
    case .yaml: print(yaml(try JSONValue(encoding: resource)), terminator: "")
    case .name: print(name(resource))
    }
  }

  func show(_ resources: [Resource]) throws {
    switch format {
    case .table, .wide: try show(table: resources)
    case .json: print(try APIJSON.encode(ResourceList(resources), pretty: true))
    case .yaml: print(yaml(try JSONValue(encoding: ResourceList(resources))), terminator: "")
    case .name: for resource in resources { print(name(resource)) }
    }
  }

  /// Anything that is not an object: JSON or YAML of it, or the text for people.
  func show(_ value: some Encodable, text: () throws -> String) throws {
    switch format {
    case .table, .wide, .name: print(try text(), terminator: "")
    case .json: print(try APIJSON.encode(value, pretty: true))
    case .yaml: print(yaml(try JSONValue(encoding: value)), terminator: "")
    }
  }

  private func show(table resources: [Resource]) throws {
    guard let kind = try resources.first.map({ try ResourceKind(named: $0.kind) }) else {
      return writeError("nothing found")
    }
    let columns = ObjectColumns(kind, wide: format == .wide, now: now)
    print(Table(header: columns.header, rows: resources.map(columns.row)).text, terminator: "")
  }

  func name(_ resource: Resource) -> String { "\(resource.kind.lowercased())/\(resource.metadata.name)" }
}
