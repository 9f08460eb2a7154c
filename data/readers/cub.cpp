// CUB-200-2011: Caltech-UCSD Birds, 200 classes.
// Source: the README of the official download CUB_200_2011.tgz.
#include "data/readers/coarse_labels.h"
#include "data/readers/image_lists.h"
#include "data/readers/label_text.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <unordered_map>

namespace finer::data {

namespace {

// "001.Black_footed_Albatross" -> "Black footed Albatross".
std::string cub_species(const std::string& name, const std::filesystem::path& root) {
  const size_t dot = name.find('.');
  std::string species = dot == std::string::npos
                            ? ""
                            : blanks_for_underscores(std::string_view(name).substr(dot + 1));
  if (species.empty()) {
    throw DataError((root / "classes.txt").string() + ": class " + quote(name) +
                    "; expected a number, a dot and a name");
  }
  return species;
}

}  // namespace

void read_cub(const ReaderOptions& options, const RecordSink& sink) {
  const ImageLists lists = ImageLists::load(options.root, 1);
  const CoarseClasses coarse = CoarseClasses::load(options, "cub-200-2011");
  std::unordered_map<int64_t, std::string> species;
  int64_t last_class = 0;
  for (const auto& [number, name] : lists.class_names) {
    species[number] = cub_species(name, options.root);
    last_class = std::max(last_class, number);
  }
  coarse.check_classes(last_class);

  UnifiedRecord record;
  record.superordinate = "Bird";
  for (const ListedImage& image : lists.images) {
    if (image.is_train != options.is_train) continue;
    record.coarse = coarse.of(image.class_number);
    record.fine = {species[image.class_number]};
    record.img_path = "images/" + image.path;
    record.metadata = "{\"class\": " + std::to_string(image.class_number);
    if (!image.box.empty()) record.metadata += ", \"box_xywh\": " + image.box;
    record.metadata += "}";
    sink(record);
    ++record.idx;
  }
}

}  // namespace finer::data
