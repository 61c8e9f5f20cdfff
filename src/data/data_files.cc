#include "data/data_files.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "files/text_reader.h"
#include "json/record.h"

namespace evo::data {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr size_t kHead = size_t{1} << 16;

struct Magic {
  size_t offset;
  std::string_view bytes;
  const char* what;
  const char* advice;
};

constexpr const char* kNumbers = "it holds numbers of a model, not text";
constexpr const char* kNoText = "it holds no text";
constexpr const char* kUnpack = "unpack it and give the files, or their folder";

constexpr Magic kMagics[] = {
    {0, "PK\3\4"sv, "a zip archive (or what is one inside: .docx, .xlsx, .epub, .npz)", kUnpack},
    {0, "PK\5\6"sv, "an empty zip archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
    {0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    {0, "Rar!\x1A\x07"sv, "a rar archive", kUnpack},
    {0, "BZh"sv, "bzip2 data", "decompress it: bunzip2 FILE"},
    {0, "\x04\x22\x4D\x18"sv, "lz4 data", "decompress it: lz4 -d FILE"},
    {0, "PAR1"sv, "a parquet table",
     "convert it: python3 -c \"import pandas; pandas.read_parquet('FILE').to_json('data.jsonl', "
     "orient='records', lines=True)\", and name the column with --text-field"},
    {0, "ARROW1"sv, "an arrow (feather) table",
     "convert it: python3 -c \"import pandas; pandas.read_feather('FILE').to_json('data.jsonl', "
     "orient='records', lines=True)\", and name the column with --text-field"},
    {0, "\x89HDF"sv, "an HDF5 file", "export its texts as JSON lines"},
    {0, "SQLite format 3"sv, "an SQLite database", "export its texts as JSON lines"},
    {0, "\x93NUMPY"sv, "a NumPy array", kNoText},
    {0, "%PDF-"sv, "a PDF document", "convert it: pdftotext FILE"},
    {0, "\xD0\xCF\x11\xE0"sv, "an old Office document", "save it as plain text"},
    {0, "{\\rtf"sv, "a rich text document", "save it as plain text"},
    {0, "\x89PNG"sv, "a picture", kNoText},
    {0, "\xFF\xD8\xFF"sv, "a picture", kNoText},
    {0, "GIF8"sv, "a picture", kNoText},
    {0,
     "\x7F"
     "ELF"sv,
     "a program", kNoText},
    {0, "GGUF"sv, "a GGUF model", kNumbers},
    {0, "EVOTOKEN"sv, "a token file", "give the text, or a folder that `evo tokenizer shard` made"},
};

constexpr const char* kArrayAdvice = "convert it: jq -c '.[]' FILE > data.jsonl";
constexpr const char* kTableAdvice =
    "convert it: python3 -c \"import csv, json; [print(json.dumps(row)) for row in "
    "csv.DictReader(open('FILE'))]\" > data.jsonl, and name the column with --text-field";

std::string_view without_space(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == text.npos ? std::string_view() : text.substr(begin);
}

std::string_view without_mark(std::string_view text) {
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

bool is_object(std::string_view line) {
  try {
    (void)json::Record::parse(line, "line");
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// The name of UTF-16 or UTF-32 if the bytes look like it: by their mark, or as every other byte of
/// Latin text is zero.
const char* wide_encoding(std::string_view head) {
  if (head.starts_with("\xFF\xFE\0\0"sv) || head.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
  if (head.starts_with("\xFF\xFE"sv)) return "UTF-16";
  if (head.starts_with("\xFE\xFF"sv)) return "UTF-16";
  std::array<size_t, 2> zeros{};
  const size_t size = std::min<size_t>(head.size(), 4096) / 2 * 2;
  for (size_t i = 0; i < size; ++i) zeros[i % 2] += head[i] == '\0' ? 1 : 0;
  const size_t pairs = size / 2;
  if (pairs < 8) return nullptr;
  if (10 * zeros[1] > 8 * pairs && 10 * zeros[0] < 2 * pairs) return "UTF-16LE";
  if (10 * zeros[0] > 8 * pairs && 10 * zeros[1] < 2 * pairs) return "UTF-16BE";
  return nullptr;
}

std::string foreign(const fs::path& path, std::string_view what, std::string advice) {
  const size_t place = advice.find("FILE");
  if (place != advice.npos) advice.replace(place, 4, path.string());
  return fmt::format(
      "{} looks like {}; expected text or JSON lines (.jsonl), compressed (.xz, .zst, .gz) or not: "
      "{}",
      path.string(), what, advice);
}

/// A file of safetensors: the length of a JSON object, and the object.
bool is_safetensors(std::string_view head) {
  return head.size() > 16 && head.substr(5, 3) == "\0\0\0"sv && head.substr(8, 2) == "{\"";
}

std::string read_head(const fs::path& path) {
  files::TextReader reader(path);
  std::string head(kHead, '\0');
  size_t size = 0;
  while (size < kHead) {
    const size_t count = reader.read(std::span(head).subspan(size));
    if (count == 0) break;
    size += count;
  }
  head.resize(size);
  return head;
}

/// Why a file is none to learn from; empty if it is.
std::string fault_of(const fs::path& path) {
  const std::string head = read_head(path);
  if (head.empty()) return path.string() + " is empty; expected a text";
  if (std::string fault = foreign_format(path, head); !fault.empty()) return fault;
  TextCheck check;
  check.add(head);
  return check.refuses(head.size() < kHead) ? describe_refusal(path, check) : "";
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with(".");
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator();
       ++at) {
    if (is_hidden(at->path())) {
      if (at->is_directory()) at.disable_recursion_pending();
    } else if (at->is_regular_file()) {
      files.push_back(at->path());
    }
  }
  std::ranges::sort(files);
  return files;
}

void add_folder(const fs::path& folder, std::vector<std::string>& files) {
  constexpr size_t kNamed = 5;
  size_t left_out = 0, taken = 0;
  for (const fs::path& file : files_below(folder)) {
    std::string fault;
    try {
      fault = fault_of(file);
    } catch (const Error& error) {
      fault = error.what();
    }
    if (fault.empty()) {
      files.push_back(file.string());
      ++taken;
    } else if (++left_out <= kNamed) {
      log_warning("leaving a file out: {}", fault);
    }
  }
  if (left_out > kNamed) {
    log_warning("{}: {} more files are left out, which do not look like text either",
                folder.string(), left_out - kNamed);
  }
  if (taken > 0) return;
  fail(
      "{}: there is no text in this folder ({} files, none of which looks like text); expected "
      "text files, .jsonl, or shards that `evo tokenizer shard` made, with their index.json",
      folder.string(), left_out);
}

}  // namespace

std::string content_extension(const fs::path& path) {
  const fs::path extension = path.extension();
  const bool compressed = extension == ".xz" || extension == ".zst" || extension == ".gz";
  return (compressed ? path.stem().extension() : extension).string();
}

std::string foreign_format(const fs::path& path, std::string_view head) {
  for (const Magic& magic : kMagics) {
    const bool long_enough = head.size() >= magic.offset + magic.bytes.size();
    if (long_enough && head.substr(magic.offset, magic.bytes.size()) == magic.bytes) {
      return foreign(path, magic.what, magic.advice);
    }
  }
  if (is_safetensors(head)) return foreign(path, "a safetensors file", kNumbers);
  if (const char* encoding = wide_encoding(head)) {
    return foreign(path, fmt::format("text in {}", encoding),
                   fmt::format("convert it: iconv -f {} -t UTF-8 FILE > text.txt", encoding));
  }
  const std::string extension = content_extension(path);
  if (extension == ".csv" || extension == ".tsv") {
    return foreign(path, "a table of " + extension.substr(1), kTableAdvice);
  }
  const std::string_view begin = without_space(without_mark(head));
  const bool json = extension == ".json" || extension == ".jsonl" || extension == ".ndjson";
  if (begin.starts_with('[')) {
    const std::string_view inner = without_space(begin.substr(1));
    const bool of_objects =
        inner.starts_with('{') && without_space(inner.substr(1)).starts_with('"');
    if (json || of_objects) return foreign(path, "a JSON array", kArrayAdvice);
  }
  if (extension == ".json" && !is_json_lines(path, head)) {
    return foreign(path, "one JSON document",
                   "write its texts one per line: {\"text\": \"...\"}, as data.jsonl");
  }
  return "";
}

bool is_json_lines(const fs::path& path, std::string_view head) {
  const std::string extension = content_extension(path);
  if (extension == ".jsonl" || extension == ".ndjson") return true;
  return extension == ".json" && is_object(first_line(without_space(without_mark(head))));
}

void TextCheck::add(std::string_view piece) {
  const char *at = piece.data(), *end = at + piece.size();
  while (at < end) {
    // Eight printable bytes of ASCII at a time.
    uint64_t word = 0;
    if (pending_ == 0 && end - at >= 8) {
      std::memcpy(&word, at, 8);
      constexpr uint64_t kHigh = 0x8080808080808080u, kSpaces = 0x2020202020202020u;
      if (((word | (word - kSpaces)) & kHigh) == 0) {
        at += 8;
        continue;
      }
    }
    add_byte(static_cast<uint8_t>(*at++));
  }
  bytes_ += static_cast<int64_t>(piece.size());
}

void TextCheck::add_byte(uint8_t byte) {
  if (pending_ > 0) {
    if (byte >= least_ && byte <= most_) {
      --pending_;
      ++taken_;
      least_ = 0x80;
      most_ = 0xBF;
      return;
    }
    bad_ += taken_;
    pending_ = 0;
  }
  taken_ = 1;
  least_ = 0x80;
  most_ = 0xBF;
  if (byte < 0x80) {
    const bool white = byte >= 0x07 && byte <= 0x0D, escape = byte == 0x1B;
    if ((byte < 0x20 && !white && !escape) || byte == 0x7F) ++bad_;
  } else if (byte >= 0xC2 && byte <= 0xDF) {
    pending_ = 1;
  } else if (byte >= 0xE0 && byte <= 0xEF) {
    pending_ = 2;
    if (byte == 0xE0) least_ = 0xA0;  // no longer than need be
    if (byte == 0xED) most_ = 0x9F;   // no surrogates
  } else if (byte >= 0xF0 && byte <= 0xF4) {
    pending_ = 3;
    if (byte == 0xF0) least_ = 0x90;
    if (byte == 0xF4) most_ = 0x8F;  // up to U+10FFFF
  } else {
    ++bad_;
  }
}

bool TextCheck::refuses(bool whole) const {
  constexpr int64_t kEnough = 1 << 14;  // bytes
  return (whole || bytes_ >= kEnough) && 100 * bad() > bytes_;
}

std::string describe_refusal(const fs::path& path, const TextCheck& check) {
  return fmt::format(
      "{} does not look like text: {} of its first {} bytes are no UTF-8, where 1% is accepted; if "
      "it is text in another encoding, convert it: iconv -f LATIN1 -t UTF-8 {} > text.txt",
      path.string(), check.bad(), check.bytes(), path.string());
}

std::vector<std::string> data_files(const std::vector<std::string>& values) {
  std::vector<std::string> files;
  for (const std::string& value : values) {
    if (fs::is_directory(value)) {
      add_folder(value, files);
      continue;
    }
    // Others, a pipe say, can be read only once, and are looked at then.
    if (fs::is_regular_file(value)) {
      if (const std::string fault = fault_of(value); !fault.empty()) fail("{}", fault);
    }
    files.push_back(value);
  }
  return files;
}

}  // namespace evo::data
