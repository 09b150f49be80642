/* libcalotype: decodes .calo files. docs/library.md has an example and explains what is not said here.
 *
 *     calotype_pack *pack;    the networks that files are decoded with: open one, decode any number of files
 *     calotype_file *file;    a file that was taken apart
 *
 * Functions that can fail return 0 (CALOTYPE_OK) or say why not; calotype_error() then has a sentence for people.
 * Packs and files may be used by several threads at once. What a function is given it only reads, and only while it
 * runs, but for the bytes of a file: they must stay as they are until calotype_close_file.
 */
#ifndef CALOTYPE_H
#define CALOTYPE_H

#include <stddef.h>
#include <stdint.h>

#ifndef CALOTYPE_API
#if defined(_WIN32) && defined(CALOTYPE_SHARED)
#define CALOTYPE_API __declspec(dllimport)
#elif defined(__GNUC__)
#define CALOTYPE_API __attribute__((visibility("default")))
#else
#define CALOTYPE_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 0.1.0: 10000 times the first number, 100 times the second, and the third. */
#define CALOTYPE_VERSION 100

/* The same number, of the library that runs: a program may have been built with the header of another one. */
CALOTYPE_API int calotype_version(void);

typedef struct calotype_pack calotype_pack;
typedef struct calotype_file calotype_file;

typedef enum calotype_status {
    CALOTYPE_OK = 0,
    CALOTYPE_FORMAT = 1,   /* not a .calo file, or a damaged one */
    CALOTYPE_LIMIT = 2,    /* larger than the limits allow */
    CALOTYPE_PACK = 3,     /* the pack is missing, damaged, or not the one that the file needs */
    CALOTYPE_ARGUMENT = 4, /* an argument that cannot be */
    CALOTYPE_MEMORY = 5,   /* there is not enough memory */
    CALOTYPE_DAMAGED = 6   /* the pixels are there, but damaged tiles were filled with a plain grey */
} calotype_status;

/* What went wrong in the last function that failed in this thread; never null, valid until the next one is called. */
CALOTYPE_API const char *calotype_error(void);

/* ---- packs ---- */

/* Opens the pack in `folder`, or with the 4 bytes `id` the one in it that has this id, which may also be one in a
 * folder of packs; without (null) `folder` must be a pack. Its owner closes it. */
CALOTYPE_API calotype_status calotype_open_pack(const char *folder, const uint8_t *id, calotype_pack **pack);

/* The same from the bytes of manifest.json, tables.safetensors and networks.safetensors; the latter two may be
 * compressed by gzip. */
CALOTYPE_API calotype_status calotype_open_pack_bytes(const void *manifest, size_t manifest_size, const void *tables,
                                                      size_t tables_size, const void *networks, size_t networks_size,
                                                      calotype_pack **pack);

/* Null is allowed. */
CALOTYPE_API void calotype_close_pack(calotype_pack *pack);

/* ---- files ---- */

/* The largest file that is opened; 0 stands for the default. */
typedef struct calotype_limits {
    uint64_t max_pixels;      /* width times height; 2^30 */
    uint64_t max_tile_pixels; /* of a tile; 2^24 */
    uint64_t max_tiles;       /* 2^16 */
    uint64_t max_metadata;    /* bytes of ICC profile, EXIF and XMP together, inflated; 2^24 */
} calotype_limits;

/* Takes the `size` bytes of a file apart. `keep`: 0 refuses a damaged file, 1 takes what is left of it. `limits` may
 * be null. Its owner closes it. */
CALOTYPE_API calotype_status calotype_open_file(const void *data, size_t size, int keep, const calotype_limits *limits,
                                                calotype_file **file);

/* Null is allowed. */
CALOTYPE_API void calotype_close_file(calotype_file *file);

typedef struct calotype_info {
    uint32_t width, height;
    uint32_t tile;       /* side of a tile in pixels; tiles at the right and lower edges are cut off */
    uint32_t level;      /* quality level, in 256ths of the pack's trained levels */
    uint8_t pack_id[4];  /* of the pack that the file needs ... */
    uint8_t needs_pack;  /* ... if it does; pictures of pixels alone need none */
    uint8_t grey, alpha; /* 1 if the picture is grey, or has alpha */
    uint8_t damaged;     /* 1 if something is wrong with the file */
    uint32_t reserved[4];
} calotype_info;

CALOTYPE_API void calotype_get_info(const calotype_file *file, calotype_info *info);

/* The "icc" profile, "exif" block (from its TIFF header on) or "xmp" packet. Returns its bytes, which belong to the
 * file, and sets `size`; null and 0 if there is none. */
CALOTYPE_API const void *calotype_metadata(const calotype_file *file, const char *name, size_t *size);

/* What is to be decoded; all 0 is the whole picture as RGB, with all cores. */
typedef struct calotype_request {
    uint32_t left, top, width, height; /* part of the picture; width and height 0: all of it */
    int preview;           /* 1: the picture at an eighth, ceil(width / 8) x ceil(height / 8); no part of it */
    int channels;          /* 3 (or 0): RGB; 4: RGB and alpha, 255 where there is none; of grey pictures also
                              1: grey, 2: grey and alpha */
    int threads;           /* how many to use at most; the pixels are the same with any number */
    size_t stride;         /* bytes from one row to the next; 0: width times channels */
    uint8_t *damaged;      /* null, or a byte for each tile in raster order: set to 1 if it was damaged, else 0 */
    uintptr_t reserved[4]; /* 0, or the request is refused */
} calotype_request;

/* Decodes to `pixels`, which has room for `size` bytes: height times stride, of which the last row may lack what is
 * beyond its pixels. `pack` may be null if the file needs none, `request` if all of it is 0. If the result is neither
 * CALOTYPE_OK nor CALOTYPE_DAMAGED, what is in `pixels` is undefined. */
CALOTYPE_API calotype_status calotype_decode(const calotype_file *file, const calotype_pack *pack,
                                             const calotype_request *request, void *pixels, size_t size);

#ifdef __cplusplus
}
#endif

#endif
