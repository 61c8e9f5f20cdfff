// read_text_corpus: plain or .xz text.
#include <lzma.h>

#include <array>
#include <limits>

#include "io/files.h"

namespace evo {
namespace {

constexpr std::string_view kXzMagic{
    "\xFD"
    "7zXZ\0",
    6};

const char* reason_of(lzma_ret code) {
  switch (code) {
    case LZMA_BUF_ERROR:
      return "it ends too early; is the download incomplete?";
    case LZMA_DATA_ERROR:
      return "it is damaged, or there is something else behind the compressed data";
    case LZMA_OPTIONS_ERROR:
      return "it uses an unsupported option of the format";
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR:
      return "decompressing it needs too much memory";
    default:
      return "decompression failed";
  }
}

class Decoder {
 public:
  Decoder(const std::filesystem::path& path, std::span<const std::byte> compressed) : path_(path) {
    // xz -9 needs 65 MiB; a file that asks for far more is not a text corpus.
    constexpr uint64_t kMaxMemory = uint64_t{1} << 30;
    check(lzma_stream_decoder(&stream_, kMaxMemory, LZMA_CONCATENATED));
    stream_.next_in = reinterpret_cast<const uint8_t*>(compressed.data());
    stream_.avail_in = compressed.size();
  }
  ~Decoder() { lzma_end(&stream_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  std::string run() {
    std::string text;
    std::array<char, 1 << 16> chunk;
    lzma_ret code = LZMA_OK;
    while (code != LZMA_STREAM_END) {
      stream_.next_out = reinterpret_cast<uint8_t*>(chunk.data());
      stream_.avail_out = chunk.size();
      code = lzma_code(&stream_, LZMA_FINISH);
      if (code != LZMA_STREAM_END) check(code);
      text.append(chunk.data(), chunk.size() - stream_.avail_out);
    }
    return text;
  }

 private:
  void check(lzma_ret code) const {
    if (code != LZMA_OK) fail("cannot decompress {}: {}", path_.string(), reason_of(code));
  }

  const std::filesystem::path& path_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

std::string read_text_corpus(const std::filesystem::path& path) {
  std::string text = read_file(path, std::numeric_limits<int64_t>::max());
  if (text.starts_with(kXzMagic)) text = Decoder(path, std::as_bytes(std::span(text))).run();
  if (text.empty()) fail("{} is empty; expected a text", path.string());
  return text;
}

}  // namespace evo
