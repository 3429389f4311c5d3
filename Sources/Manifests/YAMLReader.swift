import DroverModel
import Yams

/// Turns the nodes that Yams composes into JSON values, within limits that no honest manifest meets.
struct YAMLReader {
  /// Aliases in a file. What they can blow up grows with a power of their number; 32 keep it small.
  static let mostAliases = 32
  /// Nodes of a document after aliases were followed.
  static let mostNodes = 200_000
  static let deepest = 100

  let text: String
  let name: String

  init(_ text: String, name: String) {
    self.text = text
    self.name = name
  }

  struct Failure: Error {
    var fault: Fault
    /// The text can't be read; otherwise it can, and is refused.
    var isSyntax: Bool
  }

  func documents() throws(Failure) -> [ManifestDocument] {
    guard aliasCount() <= Self.mostAliases else {
      throw Failure(
        fault: Fault(.invalid, "\(name) has more than \(Self.mostAliases) aliases (*name)", hint: "write them out"),
        isSyntax: false)
    }
    var documents: [ManifestDocument] = []
    do {
      let parser = try Parser(yaml: text)
      while let root = try parser.nextRoot() {
        var budget = Self.mostNodes
        let value = try json(root, depth: 0, &budget)
        guard !value.isNull else { continue }
        documents.append(ManifestDocument(value: value, position: "\(name):\(root.mark?.line ?? 1)"))
      }
    } catch let fault as Fault {
      throw Failure(fault: fault, isSyntax: false)
    } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
      throw Failure(fault: duplicate(keys.first ?? "", context.mark), isSyntax: false)
    } catch let error as YamlError {
      throw Failure(fault: fault(error), isSyntax: true)
    } catch {
      throw Failure(fault: Fault(.invalid, "\(name): \(error)"), isSyntax: true)
    }
    return documents
  }

  /// Upper limit of the aliases in the text: places that look like one.
  private func aliasCount() -> Int {
    var count = 0
    var previous = UInt8(ascii: " ")
    for byte in text.utf8 {
      if previous == UInt8(ascii: "*") {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
          count += 1
        default: break
        }
      }
      previous = byte
    }
    return count
  }

  private func json(_ node: Node, depth: Int, _ budget: inout Int) throws(Fault) -> JSONValue {
    budget -= 1
    guard budget >= 0, depth <= Self.deepest else {
      throw fault(node.mark, "has too many values inside each other")
    }
    switch node {
    case .scalar(let scalar):
      return try value(of: scalar)
    case .sequence(let sequence):
      var elements: [JSONValue] = []
      for element in sequence { elements.append(try json(element, depth: depth + 1, &budget)) }
      return .array(elements)
    case .mapping(let mapping):
      var members: [String: JSONValue] = [:]
      for (key, value) in mapping {
        guard case .scalar(let scalar) = key else { throw fault(key.mark, "a key must be a plain word") }
        guard scalar.string != "<<" else {
          throw fault(key.mark, "merging with << is not supported", hint: "write the fields out")
        }
        let value = try json(value, depth: depth + 1, &budget)
        guard members.updateValue(value, forKey: scalar.string) == nil else {
          throw duplicate(scalar.string, key.mark)
        }
      }
      return .object(members)
    case .alias:
      throw fault(node.mark, "an alias without its anchor")
    }
  }

  private func value(of scalar: Node.Scalar) throws(Fault) -> JSONValue {
    let plain = scalar.style == .plain || scalar.style == .any
    switch scalar.tag.description {
    case "": return plain ? plainScalar(scalar.string) : .string(scalar.string)
    case "!", "tag:yaml.org,2002:str": return .string(scalar.string)
    case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
      return plainScalar(scalar.string)
    case let tag: throw fault(scalar.mark, "the tag \(tag) is not supported")
    }
  }

  private func duplicate(_ key: String, _ mark: Mark?) -> Fault {
    fault(mark, "the key \"\(key)\" stands twice in one object")
  }

  private func fault(_ mark: Mark?, _ message: String, hint: String? = nil) -> Fault {
    fault(mark.map { ":\($0.line):\($0.column)" } ?? "", message, hint: hint)
  }

  private func fault(_ place: String, _ message: String, hint: String? = nil) -> Fault {
    Fault(.invalid, "\(name)\(place): \(message)", hint: hint)
  }

  private func fault(_ error: YamlError) -> Fault {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      return fault(mark, [context?.text, problem].compactMap(\.self).joined(separator: ", "))
    case .reader(let problem, let offset, _, _):
      return fault(offset.map(place(ofCharacter:)) ?? "", problem)
    default: return fault("", "is not valid YAML: \(error)")
    }
  }

  private func place(ofCharacter offset: Int) -> String {
    let before = text.prefix(offset)
    let line = before.count { $0.isNewline } + 1
    let column = before.reversed().prefix { !$0.isNewline }.count + 1
    return ":\(line):\(column)"
  }
}
