/// Columns of text, as wide as their content, two spaces apart.
struct Table {
  var header: [String]
  var rows: [[String]]

  /// With a line end behind each line; empty where there are no rows.
  var text: String {
    guard !rows.isEmpty else { return "" }
    return lines(withHeader: true).map { $0 + "\n" }.joined()
  }

  func lines(withHeader: Bool, widths given: [Int]? = nil) -> [String] {
    let widths = given ?? self.widths
    return ((withHeader ? [header] : []) + rows).map { row in
      var line = ""
      for (cell, width) in zip(row, widths) {
        line += cell + String(repeating: " ", count: max(0, width - cell.count)) + "  "
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  var widths: [Int] {
    header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
  }
}
