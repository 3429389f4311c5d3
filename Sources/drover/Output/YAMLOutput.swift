import ControlAPI
import DroverModel
import Manifests

func yaml(_ value: JSONValue) -> String { YAMLText.encode(value) }

extension JSONValue {
  /// What `value` looks like as JSON.
  init(encoding value: some Encodable) throws {
    self = try APIJSON.decode(JSONValue.self, from: try APIJSON.encode(value))
  }
}
