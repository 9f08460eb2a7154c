#pragma once

#include <map>
#include <string>
#include <string_view>

namespace finer {

/// The records of a zip archive by name, as bytes within `archive`; nothing is unpacked.
///
/// Zip64 is read. Every record must be stored uncompressed and unencrypted, as torch.save writes
/// it, lie within the archive, overlap no other and carry the name that the directory gives it.
///
/// where  begins the messages: the file
/// Throws: CheckpointError.
/// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
std::map<std::string, std::string_view> read_zip_directory(const std::string& where,
                                                           std::string_view archive);

}  // namespace finer
