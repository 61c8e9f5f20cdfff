// The rows of a benchmark's file as records, whatever form the file has.
#pragma once

#include <string>
#include <vector>

#include "json/record.h"

namespace evo::eval {

/// A file that was found and read whole.
struct DataFile {
  std::string name;  ///< for messages: its path; of a member of an archive "x.zip:data/a.csv"
  std::string text;  ///< decompressed, without a byte order mark
};

/// The rows of a file of JSON lines or of one JSON array of objects. The source() of each is the
/// file and the line that it begins in, so that Errors name them. Throws Error for what is no
/// object, for a file that is cut short, and if there is no row.
[[nodiscard]] std::vector<json::Record> json_rows(const DataFile& file);

/// The rows of a file of comma-separated values as records of texts. The first line names the
/// columns, unless `columns` does. Throws Error for a row of another length, for a quote that does
/// not end, and if there is no row.
[[nodiscard]] std::vector<json::Record> csv_rows(const DataFile& file,
                                                 const std::vector<std::string>& columns = {});

/// csv_rows() of a file whose name ends in .csv, compressed or not, json_rows() of any other.
[[nodiscard]] std::vector<json::Record> read_rows(const DataFile& file,
                                                  const std::vector<std::string>& columns = {});

/// `name` without an ending that says how a file is compressed: .gz, .xz or .zst.
[[nodiscard]] std::string_view without_compression(std::string_view name);

}  // namespace evo::eval
