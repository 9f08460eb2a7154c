#include "finer/image/resample.h"

#include "finer/core/error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

// The inner loops are compiled twice and chosen at load time: 32-bit products are slow before AVX2.
// Sanitizers cannot run code before main that picks one.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#define FINER_TWO_SPEEDS __attribute__((target_clones("avx2", "default")))
#else
#define FINER_TWO_SPEEDS
#endif

namespace finer {
namespace {

constexpr int kFractionBits = 22;  // of a weight; 8-bit pixels times weights then fit 32 bits
constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr int64_t kBundleRows = 8;             // rows that go through the horizontal pass together
constexpr int64_t kMaxTableWeights = 1 << 22;  // 16 MiB of horizontal weights at a time

uint8_t rounded_pixel(int32_t sum) {  // `sum` holds the half already
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// Keys' cubic with a = -1/2.
double cubic_weight(double x) {
  constexpr double a = -0.5;
  x = std::fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

/// The weights of one resized pixel.
struct Weights {
  int64_t first = 0;               // first pixel of the picture (its border not counted)
  std::vector<int32_t> of_pixels;  // from there on
  int32_t of_border = 0;           // their sum over the border
  int64_t end() const { return first + static_cast<int64_t>(of_pixels.size()); }
};

// At most, and of the picture itself.
int64_t weight_count(const ResizeAxis& axis) {
  const double scale = static_cast<double>(axis.bordered_px) / static_cast<double>(axis.resized_px);
  return std::min(static_cast<int64_t>(std::ceil(2.0 * std::max(1.0, scale))) * 2 + 1,
                  axis.picture_px);
}

// In double, divided by their sum, then rounded to 22 bits: each step matters to the last bit.
Weights make_weights(const ResizeAxis& axis, int64_t resized, std::vector<double>& exact) {
  const double scale = static_cast<double>(axis.bordered_px) / static_cast<double>(axis.resized_px);
  const double stretch = std::max(1.0, scale);
  const double support = 2.0 * stretch;
  const double centre = (static_cast<double>(resized) + 0.5) * scale;
  const auto begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
  const auto end = std::min(axis.bordered_px, static_cast<int64_t>(centre + support + 0.5));

  exact.resize(static_cast<size_t>(std::max<int64_t>(0, end - begin)));
  double sum = 0.0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const auto offset = static_cast<double>(begin + static_cast<int64_t>(i)) - centre + 0.5;
    exact[i] = cubic_weight(offset * (1.0 / stretch));
    sum += exact[i];
  }

  Weights weights;
  weights.first = std::clamp<int64_t>(begin - axis.border_px, 0, axis.picture_px);
  const auto last = std::clamp<int64_t>(end - axis.border_px, weights.first, axis.picture_px);
  weights.of_pixels.reserve(static_cast<size_t>(last - weights.first));
  for (size_t i = 0; i < exact.size(); ++i) {
    const double share = sum != 0.0 ? exact[i] / sum : exact[i];
    const double scaled = share * (1 << kFractionBits);
    const auto weight = static_cast<int32_t>(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
    const auto pixel = begin + static_cast<int64_t>(i) - axis.border_px;
    if (pixel < 0 || pixel >= axis.picture_px) {
      weights.of_border += weight;
    } else {
      weights.of_pixels.push_back(weight);
    }
  }
  return weights;
}

// Rows laid side by side, [pixel][channel][row], so that one weight meets 24 neighbouring bytes.
void bundle_rows(const Image& image, int64_t first_row, int64_t rows, int64_t first_pixel,
                 int64_t pixels, uint8_t* bundle) {
  for (int64_t row = 0; row < rows; ++row) {
    const auto* from = image.rgb.data() + ((first_row + row) * image.width + first_pixel) * 3;
    for (int64_t i = 0; i < pixels * 3; ++i) bundle[i * kBundleRows + row] = from[i];
  }
}

FINER_TWO_SPEEDS
void weigh_bundle(const uint8_t* __restrict bundle, const int32_t* __restrict weights,
                  int64_t count, int32_t* __restrict sums) {
  int32_t total[3 * kBundleRows];
  for (int i = 0; i < 3 * kBundleRows; ++i) total[i] = sums[i];
  for (int64_t k = 0; k < count; ++k) {
    const int32_t weight = weights[k];
    const uint8_t* pixel = bundle + k * 3 * kBundleRows;
    for (int i = 0; i < 3 * kBundleRows; ++i) total[i] += weight * pixel[i];
  }
  for (int i = 0; i < 3 * kBundleRows; ++i) sums[i] = total[i];
}

FINER_TWO_SPEEDS
void weigh_row(const uint8_t* __restrict row, int32_t weight, int64_t count,
               int32_t* __restrict sums) {
  for (int64_t i = 0; i < count; ++i) sums[i] += weight * row[i];
}

FINER_TWO_SPEEDS
void round_row(const int32_t* __restrict sums, int64_t count, uint8_t* __restrict row) {
  for (int64_t i = 0; i < count; ++i) {
    const int32_t value = sums[i] >> kFractionBits;
    row[i] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

/// The weights of the resized rows, from the first on. Kept where the picture is gone over in
/// several parts: then it is very wide, so it has few rows, and what is kept of their weights is
/// little.
class RowWeights {
 public:
  RowWeights(const ResizeAxis& axis, bool is_kept) : axis_(axis), is_kept_(is_kept) {}

  Weights of(int64_t row) {
    if (!is_kept_) return make_weights(axis_, axis_.window_first + row, scratch_);
    while (static_cast<int64_t>(kept_.size()) <= row) {
      kept_.push_back(
          make_weights(axis_, axis_.window_first + static_cast<int64_t>(kept_.size()), scratch_));
      kept_.back().of_pixels.shrink_to_fit();
    }
    return kept_[static_cast<size_t>(row)];
  }
  int64_t rows() const { return axis_.window_px; }

 private:
  const ResizeAxis axis_;
  const bool is_kept_;
  std::vector<double> scratch_;
  std::vector<Weights> kept_;
};

/// The part of the result that is being made: columns [first, first + count), of which only
/// [picture_first, picture_end) see any pixel of the picture; the others are all border.
struct ColumnRange {
  int64_t first, count, picture_first, picture_end;
};

/// Resized rows that wait for more rows of the picture. Rows come in from the top, and each is
/// added to the few results whose weights reach it; so the horizontal pass is never kept as a
/// whole.
class VerticalPass {
 public:
  /// border_row  `columns.count` pixels: a row of border after the horizontal pass
  VerticalPass(RowWeights& row_weights, std::vector<uint8_t> border_row, const ColumnRange& columns,
               Image& result)
      : row_weights_(row_weights),
        border_row_(std::move(border_row)),
        columns_(columns),
        result_(result) {
    make_next();
  }

  int64_t first_row() const { return next_.first; }

  /// row  the picture's row after the horizontal pass, from picture_first to picture_end
  void add(int64_t picture_row, const uint8_t* row) {
    while (has_next() && next_.first <= picture_row) start_next();
    for (auto& open : open_) {
      const auto k = picture_row - open.weights.first;
      if (k < static_cast<int64_t>(open.weights.of_pixels.size())) {
        weigh_row(row, open.weights.of_pixels[static_cast<size_t>(k)],
                  static_cast<int64_t>(open.sums.size()), open.sums.data());
      }
    }
    while (!open_.empty() && open_.front().weights.end() <= picture_row + 1) finish_front();
  }

  void finish() {
    while (has_next()) start_next();
    while (!open_.empty()) finish_front();
  }

 private:
  struct OpenRow {
    int64_t index;
    Weights weights;
    std::vector<int32_t> sums;
  };

  bool has_next() const { return next_index_ < row_weights_.rows(); }
  void make_next() {
    if (has_next()) next_ = row_weights_.of(next_index_);
  }
  uint8_t* result_at(int64_t row, int64_t column) {
    return result_.rgb.data() + (row * result_.width + columns_.first + column) * 3;
  }
  void start_next() {
    int32_t all_weights = next_.of_border;
    for (const auto weight : next_.of_pixels) all_weights += weight;
    for (int64_t x = 0; x < columns_.count; ++x) {
      if (x == columns_.picture_first) x = columns_.picture_end;
      if (x == columns_.count) break;
      for (int64_t c = 0; c < 3; ++c) {
        result_at(next_index_, x)[c] =
            rounded_pixel(kHalf + all_weights * border_row_[static_cast<size_t>(x * 3 + c)]);
      }
    }
    const auto values = (columns_.picture_end - columns_.picture_first) * 3;
    std::vector<int32_t> sums(static_cast<size_t>(values), kHalf);
    weigh_row(border_row_.data() + columns_.picture_first * 3, next_.of_border, values,
              sums.data());
    open_.push_back({next_index_, std::move(next_), std::move(sums)});
    ++next_index_;
    make_next();
  }
  void finish_front() {
    const auto& open = open_.front();
    round_row(open.sums.data(), static_cast<int64_t>(open.sums.size()),
              result_at(open.index, columns_.picture_first));
    open_.pop_front();
  }

  RowWeights& row_weights_;
  const std::vector<uint8_t> border_row_;
  const ColumnRange columns_;
  Image& result_;
  std::deque<OpenRow> open_;
  int64_t next_index_ = 0;
  Weights next_;
};

// `columns` of the result from `first_column` on, all of its rows.
void resample_columns(const Image& image, const ResizeAxis& across, RowWeights& row_weights,
                      std::array<uint8_t, 3> border, int64_t first_column, int64_t columns,
                      Image& result) {
  std::vector<Weights> table;
  std::vector<double> scratch;
  ColumnRange range{first_column, columns, columns, columns};
  int64_t first_pixel = image.width, end_pixel = 0;
  for (int64_t x = 0; x < columns; ++x) {
    table.push_back(make_weights(across, across.window_first + first_column + x, scratch));
    const auto& weights = table.back();
    if (weights.of_pixels.empty()) continue;
    range.picture_first = std::min(range.picture_first, x);
    range.picture_end = x + 1;
    first_pixel = std::min(first_pixel, weights.first);
    end_pixel = std::max(end_pixel, weights.end());
  }
  if (range.picture_first == columns) range.picture_first = range.picture_end = 0;

  // A row of nothing but border, after the horizontal pass.
  std::vector<uint8_t> border_row(static_cast<size_t>(columns * 3));
  for (int64_t x = 0; x < columns; ++x) {
    int32_t sum = table[x].of_border;
    for (const auto weight : table[x].of_pixels) sum += weight;
    for (int c = 0; c < 3; ++c) border_row[x * 3 + c] = rounded_pixel(kHalf + sum * border[c]);
  }

  VerticalPass vertical(row_weights, std::move(border_row), range, result);
  const auto width = range.picture_end - range.picture_first;
  if (width > 0) {
    const auto end_row = row_weights.of(row_weights.rows() - 1).end();
    const auto pixels = end_pixel - first_pixel;
    std::vector<uint8_t> bundle(static_cast<size_t>(pixels * 3 * kBundleRows));
    std::vector<uint8_t> rows(static_cast<size_t>(width * 3 * kBundleRows));
    for (int64_t y = vertical.first_row(); y < end_row; y += kBundleRows) {
      const auto count = std::min(kBundleRows, end_row - y);
      bundle_rows(image, y, count, first_pixel, pixels, bundle.data());
      for (int64_t x = 0; x < width; ++x) {
        const auto& weights = table[range.picture_first + x];
        int32_t sums[3 * kBundleRows];
        for (int i = 0; i < 3 * kBundleRows; ++i) {
          sums[i] = kHalf + weights.of_border * border[i / kBundleRows];
        }
        weigh_bundle(bundle.data() + (weights.first - first_pixel) * 3 * kBundleRows,
                     weights.of_pixels.data(), static_cast<int64_t>(weights.of_pixels.size()),
                     sums);
        for (int c = 0; c < 3; ++c) {
          for (int64_t row = 0; row < count; ++row) {
            rows[(row * width + x) * 3 + c] = rounded_pixel(sums[c * kBundleRows + row]);
          }
        }
      }
      for (int64_t row = 0; row < count; ++row) {
        vertical.add(y + row, rows.data() + row * width * 3);
      }
    }
  }
  vertical.finish();
}

Image resample_across_first(const Image& image, const ResizeAxis& across, const ResizeAxis& down,
                            std::array<uint8_t, 3> border) {
  Image result{across.window_px, down.window_px, {}};
  result.rgb.resize(static_cast<size_t>(result.width * result.height * 3));
  // All columns at once, but for pictures so wide that their weights would need gigabytes.
  const auto columns = std::max<int64_t>(1, kMaxTableWeights / weight_count(across));
  RowWeights row_weights(down, columns < result.width);
  for (int64_t first = 0; first < result.width; first += columns) {
    resample_columns(image, across, row_weights, border, first,
                     std::min(columns, result.width - first), result);
  }
  return result;
}

// Since Pillow 13 a picture whose height shrinks by more than twice the pixels that its width loses
// is resized down the columns first; the rounding between the passes makes that another result (by
// up to 20 levels at hard edges). Earlier versions always go across the rows first. Source:
// python-pillow/Pillow pull request 9549; the rule agreed with 1455 of 1455 random sizes.
bool goes_down_first(const ResizeAxis& across, const ResizeAxis& down) {
  return down.resized_px < down.bordered_px &&
         down.bordered_px - down.resized_px > 2 * (across.bordered_px - across.resized_px);
}

Image transposed(const Image& image) {
  Image result{image.height, image.width, {}};
  result.rgb.resize(image.rgb.size());
  constexpr int64_t kRows = 16;  // read together, so that written cache lines are filled
  for (int64_t y0 = 0; y0 < image.height; y0 += kRows) {
    const auto end = std::min(image.height, y0 + kRows);
    for (int64_t x = 0; x < image.width; ++x) {
      for (int64_t y = y0; y < end; ++y) {
        std::memcpy(result.rgb.data() + (x * image.height + y) * 3,
                    image.rgb.data() + (y * image.width + x) * 3, 3);
      }
    }
  }
  return result;
}

void check_axis(const ResizeAxis& axis, int64_t picture_px) {
  FINER_CHECK(axis.picture_px == picture_px && picture_px > 0, "an axis of the picture's own size");
  FINER_CHECK(axis.border_px >= 0 && axis.border_px <= axis.bordered_px - picture_px,
              "a picture within its borders");
  FINER_CHECK(axis.window_px > 0 && axis.window_first >= 0 &&
                  axis.window_first <= axis.resized_px - axis.window_px,
              "a window within the resized picture");
}

}  // namespace

Image resample_bicubic(const Image& image, const ResizeAxis& across, const ResizeAxis& down,
                       std::array<uint8_t, 3> border) {
  check_axis(across, image.width);
  check_axis(down, image.height);
  if (goes_down_first(across, down)) {
    return transposed(resample_across_first(transposed(image), down, across, border));
  }
  return resample_across_first(image, across, down, border);
}

}  // namespace finer
