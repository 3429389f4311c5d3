import DroverModel
import HTTPTypes

/// A fault that needs another status than its code says.
struct RequestRefusal: Error {
  let status: HTTPResponse.Status
  let fault: Fault
  var headers: HTTPFields = [:]

  init(_ status: HTTPResponse.Status, _ fault: Fault, headers: HTTPFields = [:]) {
    self.status = status
    self.fault = fault
    self.headers = headers
  }
}
