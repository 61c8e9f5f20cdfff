#include "files/text_reader.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/testing.h"
#include "files/files.h"

namespace evo::files {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr int64_t kMaxBytes = 1 << 20;

std::string xz(std::string_view text) {
  std::string out(text.size() + 1024, '\0');
  size_t size = 0;
  EVO_CHECK(lzma_easy_buffer_encode(
                6, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                text.size(), reinterpret_cast<uint8_t*>(out.data()), &size, out.size()) == LZMA_OK);
  return out.substr(0, size);
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  EVO_CHECK(ZSTD_isError(size) == 0);
  return out.substr(0, size);
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
  EVO_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EVO_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct Format {
  const char* extension;
  std::string (*compress)(std::string_view text);
  size_t magic;  // bytes that say what it is
};
constexpr Format kFormats[] = {{".xz", xz, 6}, {".zst", zstd, 4}, {".gz", gzip, 2}};

TEST(ReadText, PlainAndCompressed) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i);  // several output chunks
  write_bytes(folder / "plain", text);
  EXPECT_EQ(read_text(folder / "plain", kMaxBytes), text);
  for (const auto& [extension, compress, magic] : kFormats) {
    SCOPED_TRACE(extension);
    const auto file = folder / "a";  // the content tells, not the name
    for (const std::string& content : {text, std::string(1 << 16, 'x'), std::string()}) {
      write_bytes(file, compress(content));
      EXPECT_EQ(read_text(file, kMaxBytes), content);
    }
    write_bytes(file, compress("one ") + compress("two"));
    EXPECT_EQ(read_text(file, kMaxBytes), "one two");
    write_bytes(folder / "other.xz", compress("x"));
    EXPECT_EQ(read_text(folder / "other.xz", kMaxBytes), "x");
  }
}

TEST(ReadText, CutShortAnywhere) {
  const TemporaryFolder folder;
  for (const auto& [extension, compress, magic] : kFormats) {
    const auto file = folder / (std::string("cut") + extension);
    const std::string packed = compress("a short text, a short text");
    for (size_t length = 0; length < packed.size(); ++length) {
      SCOPED_TRACE(::testing::Message() << extension << ", " << length << " bytes");
      write_bytes(file, packed.substr(0, length));
      expect_error([&] { (void)read_text(file, kMaxBytes); },
                   {file.string(), length >= magic ? "ends too early" : "cut short"});
    }
  }
}

TEST(ReadText, NamesTheFault) {
  const TemporaryFolder folder;
  for (const auto& [extension, compress, magic] : kFormats) {
    SCOPED_TRACE(extension);
    const auto file = folder / "file";
    const auto read = [&] { (void)read_text(file, kMaxBytes); };
    const std::string packed = compress(std::string(5000, 'x') + "end");
    write_bytes(file, packed + "sixteen letters.");
    expect_error(read, {file.string(), "cannot decompress", "something else behind"});
    write_bytes(file, compress(std::string(kMaxBytes + 1, 'x')));
    expect_error(read, {file.string(), "too large", "1048576 bytes"});
    write_bytes(file, compress(std::string(kMaxBytes, 'x')));
    EXPECT_EQ(read_text(file, kMaxBytes).size(), size_t{kMaxBytes});
  }
  write_bytes(folder / "bits", xz(std::string(5000, 'x') + "end"));
  testing::flip_bit(folder / "bits", 40, 3);
  expect_error([&] { (void)read_text(folder / "bits", kMaxBytes); }, {"bits", "damaged"});
  expect_error([&] { (void)read_text(folder / "none", kMaxBytes); }, {"none", "No such file"});
}

/// Piece by piece, however large the pieces, and at the end nothing, again and again.
TEST(TextReader, GivesPieces) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 3'000; ++i) text += std::to_string(i);
  for (const auto& [extension, compress, magic] : kFormats) {
    write_bytes(folder / "file", compress(text));
    for (const size_t size : {size_t{1}, size_t{7}, text.size(), text.size() + 1}) {
      TextReader reader(folder / "file");
      std::vector<char> piece(size);
      std::string read;
      while (const size_t count = reader.read(piece)) read.append(piece.data(), count);
      EXPECT_EQ(read, text) << extension << ' ' << size;
      EXPECT_EQ(reader.read(piece), 0u);
      EXPECT_EQ(reader.stored_bytes_read(), reader.stored().size());
    }
  }
}

TEST(ReadTextCorpus, NeedsText) {
  const TemporaryFolder folder;
  write_bytes(folder / "some", zstd("text"));
  write_bytes(folder / "empty", "");
  write_bytes(folder / "nothing", xz(""));
  EXPECT_EQ(read_text_corpus(folder / "some"), "text");
  for (const char* name : {"empty", "nothing"}) {
    expect_error([&] { (void)read_text_corpus(folder / name); }, {name, "expected a text"});
  }
}

}  // namespace
}  // namespace evo::files
