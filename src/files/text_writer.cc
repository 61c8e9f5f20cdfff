#include "files/text_writer.h"

#include <zstd.h>

#include <array>
#include <new>

namespace evo::files {
namespace {

constexpr size_t kFlushEvery = size_t{32} << 10;  // bytes of text

}  // namespace

class TextWriter::Compressor {
 public:
  explicit Compressor(AtomicFile& file) : file_(file), context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (!context_) throw std::bad_alloc();
    const size_t code = ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    EVO_CHECK(ZSTD_isError(code) == 0);
  }

  void write(std::string_view text) {
    since_flush_ += text.size();
    const bool flush = since_flush_ >= kFlushEvery;
    if (flush) since_flush_ = 0;
    run(text, flush ? ZSTD_e_flush : ZSTD_e_continue);
  }
  void finish() { run({}, ZSTD_e_end); }

 private:
  void run(std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    bool done = false;
    while (!done) {
      ZSTD_outBuffer out{chunk_.data(), chunk_.size(), 0};
      const size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
      // Of a compressor with room to write only memory can run out.
      if (ZSTD_isError(left) != 0) throw std::bad_alloc();
      file_.write(std::string_view(chunk_.data(), out.pos));
      done = directive == ZSTD_e_continue ? in.pos == in.size : left == 0;
    }
  }

  AtomicFile& file_;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_;
  std::array<char, 1 << 15> chunk_;
  size_t since_flush_ = 0;
};

TextWriter::TextWriter(const std::filesystem::path& path) : file_(path) {
  if (path.extension() == ".zst") compressor_ = std::make_unique<Compressor>(file_);
}

TextWriter::~TextWriter() = default;

void TextWriter::write(std::string_view text) {
  if (compressor_) {
    compressor_->write(text);
  } else {
    file_.write(text);
  }
}

void TextWriter::commit() {
  if (compressor_) compressor_->finish();
  file_.commit();
}

}  // namespace evo::files
