# find_package(TinyStoreDB) gives the targets TinyStoreDB::tinystoredb (shared) and TinyStoreDB::tinystoredb_static.
# The files are looked for from where this one lies: <prefix>/lib*/cmake/TinyStoreDB or <prefix>/share/cmake/...

get_filename_component(_tinystoredb_prefix "${CMAKE_CURRENT_LIST_DIR}" ABSOLUTE)
while(NOT EXISTS "${_tinystoredb_prefix}/include/tinystoredb.h")
  get_filename_component(_tinystoredb_parent "${_tinystoredb_prefix}" DIRECTORY)
  if(_tinystoredb_parent STREQUAL _tinystoredb_prefix)
    set(TinyStoreDB_FOUND FALSE)
    set(TinyStoreDB_NOT_FOUND_MESSAGE "include/tinystoredb.h is in no directory above ${CMAKE_CURRENT_LIST_DIR}")
    return()
  endif()
  set(_tinystoredb_prefix "${_tinystoredb_parent}")
endwhile()

set(_tinystoredb_directories lib lib64)
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(INSERT _tinystoredb_directories 0 "lib/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()

foreach(_tinystoredb_directory IN LISTS _tinystoredb_directories)
  set(_tinystoredb_library "${_tinystoredb_prefix}/${_tinystoredb_directory}/${CMAKE_SHARED_LIBRARY_PREFIX}tinystoredb")
  if(NOT TARGET TinyStoreDB::tinystoredb AND EXISTS "${_tinystoredb_library}${CMAKE_SHARED_LIBRARY_SUFFIX}")
    add_library(TinyStoreDB::tinystoredb SHARED IMPORTED)
    set_target_properties(TinyStoreDB::tinystoredb PROPERTIES
      IMPORTED_LOCATION "${_tinystoredb_library}${CMAKE_SHARED_LIBRARY_SUFFIX}"
      INTERFACE_INCLUDE_DIRECTORIES "${_tinystoredb_prefix}/include")
  endif()
  if(NOT TARGET TinyStoreDB::tinystoredb_static AND EXISTS "${_tinystoredb_library}.a")
    add_library(TinyStoreDB::tinystoredb_static STATIC IMPORTED)
    set_target_properties(TinyStoreDB::tinystoredb_static PROPERTIES
      IMPORTED_LOCATION "${_tinystoredb_library}.a"
      INTERFACE_INCLUDE_DIRECTORIES "${_tinystoredb_prefix}/include")
    if(APPLE)
      set_property(TARGET TinyStoreDB::tinystoredb_static PROPERTY INTERFACE_LINK_LIBRARIES iconv System c m)
    else()
      set_property(TARGET TinyStoreDB::tinystoredb_static PROPERTY
        INTERFACE_LINK_LIBRARIES gcc_s util rt pthread m dl c)
    endif()
  endif()
endforeach()

if(NOT TARGET TinyStoreDB::tinystoredb AND NOT TARGET TinyStoreDB::tinystoredb_static)
  set(TinyStoreDB_FOUND FALSE)
  set(TinyStoreDB_NOT_FOUND_MESSAGE "libtinystoredb is not in a lib directory of ${_tinystoredb_prefix}")
endif()

unset(_tinystoredb_prefix)
unset(_tinystoredb_parent)
unset(_tinystoredb_directories)
unset(_tinystoredb_directory)
unset(_tinystoredb_library)
