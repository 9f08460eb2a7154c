#include "data/readers/reader.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"

namespace finer::data {

const std::vector<Reader>& readers() {
  static const std::vector<Reader> all = {
      {"inaturalist", "iNaturalist 2021: train.json, val.json", CoarseFile::kFamilies,
       read_inaturalist},
      {"fgvc-aircraft", "FGVC-Aircraft 2013b: data/images_*.txt", CoarseFile::kNever,
       read_aircraft},
      {"cub-200-2011", "Caltech-UCSD Birds: images.txt and its sisters", CoarseFile::kClasses,
       read_cub},
      {"stanford-dogs", "Stanford Dogs: train_list.mat, test_list.mat", CoarseFile::kClasses,
       read_dogs},
      {"stanford-cars", "Stanford Cars: devkit/*.mat", CoarseFile::kSometimes, read_cars},
      {"nabirds", "NABirds: images.txt, hierarchy.txt and their sisters", CoarseFile::kNever,
       read_nabirds},
      {"folder", "your own: ROOT/COARSE/FINE/*.jpg", CoarseFile::kNever, read_folder},
  };
  return all;
}

const Reader& find_reader(const std::string& key) {
  std::vector<std::string> keys;
  for (const Reader& reader : readers()) {
    if (key == reader.key) return reader;
    keys.emplace_back(reader.key);
  }
  throw DataError("--set " + quote(key) + " is no set" + did_you_mean(key, keys));
}

}  // namespace finer::data
