// read_text and read_text_corpus: plain, .xz or .zst text.
#include <lzma.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <array>
#include <limits>
#include <memory>
#include <utility>

#include "io/files.h"

namespace evo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDamaged =
    "it is damaged, or there is something else behind the compressed data";
constexpr std::string_view kTooMuchMemory = "decompressing it needs too much memory";
constexpr std::string_view kCutShort = "it ends too early; is the download incomplete?";

/// What comes out of a decoder, bounded: a small file can hold any amount of text.
class Output {
 public:
  Output(const fs::path& path, int64_t max_bytes) : path_(path), max_bytes_(max_bytes) {}

  [[nodiscard]] std::span<char> room() { return chunk_; }
  void take(size_t count) {
    text_.append(chunk_.data(), count);
    if (std::cmp_greater(text_.size(), max_bytes_)) {
      fail("{} is too large: expected at most {} bytes after decompression", path_.string(),
           max_bytes_);
    }
  }
  [[nodiscard]] std::string text() { return std::move(text_); }
  [[noreturn]] void refuse(std::string_view reason) const {
    fail("cannot decompress {}: {}", path_.string(), reason);
  }

 private:
  const fs::path& path_;
  int64_t max_bytes_;
  std::array<char, 1 << 16> chunk_;
  std::string text_;
};

std::string_view xz_reason(lzma_ret code) {
  switch (code) {
    case LZMA_BUF_ERROR:
      return kCutShort;
    case LZMA_DATA_ERROR:
      return kDamaged;
    case LZMA_OPTIONS_ERROR:
      return "it uses an unsupported option of the format";
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR:
      return kTooMuchMemory;
    default:
      return "decompression failed";
  }
}

void decode_xz(std::string_view compressed, Output& output) {
  // xz -9 needs 65 MiB; a file that asks for far more is not a text.
  constexpr uint64_t kMaxMemory = uint64_t{1} << 30;
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> guard(&stream, lzma_end);
  lzma_ret code = lzma_stream_decoder(&stream, kMaxMemory, LZMA_CONCATENATED);
  stream.next_in = reinterpret_cast<const uint8_t*>(compressed.data());
  stream.avail_in = compressed.size();
  while (code != LZMA_STREAM_END) {
    if (code != LZMA_OK) output.refuse(xz_reason(code));
    const std::span<char> room = output.room();
    stream.next_out = reinterpret_cast<uint8_t*>(room.data());
    stream.avail_out = room.size();
    code = lzma_code(&stream, LZMA_FINISH);
    output.take(room.size() - stream.avail_out);
  }
}

std::string_view zstd_reason(size_t code) {
  switch (ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation:
    case ZSTD_error_frameParameter_windowTooLarge:
      return kTooMuchMemory;
    default:
      return kDamaged;
  }
}

void decode_zstd(std::string_view compressed, Output& output) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  size_t wanted = 1;  // 0 at the end of a frame; others may follow
  bool more = true;   // that the last call had no room for
  while (in.pos < in.size || (wanted > 0 && more)) {
    const std::span<char> room = output.room();
    ZSTD_outBuffer out{room.data(), room.size(), 0};
    wanted = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(wanted) != 0) output.refuse(zstd_reason(wanted));
    output.take(out.pos);
    more = out.pos == out.size;
  }
  if (wanted > 0) output.refuse(kCutShort);
}

struct Format {
  std::string_view extension, magic;
  void (*decode)(std::string_view compressed, Output& output);
};
using namespace std::string_view_literals;
constexpr Format kFormats[] = {{".xz", "\xFD\x37zXZ\0"sv, decode_xz},
                               {".zst", "\x28\xB5\x2F\xFD"sv, decode_zstd}};

}  // namespace

std::string read_text(const fs::path& path, int64_t max_bytes) {
  std::string text = read_file(path, max_bytes);
  for (const Format& format : kFormats) {
    if (!text.starts_with(format.magic)) continue;
    Output output(path, max_bytes);
    format.decode(text, output);
    return output.text();
  }
  for (const Format& format : kFormats) {
    if (path.extension() != format.extension) continue;
    fail("{}: expected {} data, as the name says, found something else; is it cut short?",
         path.string(), format.extension.substr(1));
  }
  return text;
}

std::string read_text_corpus(const fs::path& path) {
  std::string text = read_text(path, std::numeric_limits<int64_t>::max());
  if (text.empty()) fail("{} is empty; expected a text", path.string());
  return text;
}

}  // namespace evo
