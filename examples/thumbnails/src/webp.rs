//! libwebp, which is C.
#![expect(unsafe_code, reason = "the functions of a C library")]

use crate::Thumbnail;
use libwebp_sys as c;

/// How large a thumbnail may be.
const FITS: u32 = 128;

/// Decodes `picture` and makes it small.
pub(crate) fn thumbnail(picture: &[u8]) -> Result<Thumbnail, String> {
    let (width, height) = size(picture)?;
    let (small_width, small_height) = fitted(width, height);
    // SAFETY: plain data, for which zeroes are valid; `WebPInitDecoderConfig` sets it up.
    let mut config: c::WebPDecoderConfig = unsafe { std::mem::zeroed() };
    // SAFETY: a live structure.
    if !unsafe { c::WebPInitDecoderConfig(&raw mut config) } {
        return Err("another version of the library".to_owned());
    }
    let mut pixels = vec![0_u8; to_usize(small_width) * to_usize(small_height) * 4];
    config.options.use_scaling = 1;
    config.options.scaled_width = to_int(small_width);
    config.options.scaled_height = to_int(small_height);
    config.output.colorspace = c::WEBP_CSP_MODE::MODE_RGBA;
    config.output.is_external_memory = 1;
    config.output.u.RGBA =
        c::WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: to_int(small_width * 4), size: pixels.len() };
    // SAFETY: the picture and its length; a buffer of the size that the structure tells.
    let status = unsafe { c::WebPDecode(picture.as_ptr(), picture.len(), &raw mut config) };
    if status != c::VP8StatusCode::VP8_STATUS_OK {
        return Err(format!("the picture cannot be decoded: {status:?}"));
    }
    Ok(Thumbnail { width, height, webp: encode(&pixels, small_width, small_height)? })
}

/// Decodes into memory that is not there.
pub(crate) fn crash(picture: &[u8]) -> Result<Thumbnail, String> {
    let (width, height) = size(picture)?;
    let (nowhere, size) = (std::ptr::without_provenance_mut(4096), usize::MAX >> 1);
    // SAFETY: none. The C code writes to an address where nothing is, as one with a mistake would.
    let written = unsafe { c::WebPDecodeRGBAInto(picture.as_ptr(), picture.len(), nowhere, size, to_int(width * 4)) };
    Err(format!("it wrote to {written:?}, {width} by {height}"))
}

/// A picture of one colour and a gradient, lossless.
///
/// # Errors
///
/// When the library cannot make it.
pub fn picture(width: u32, height: u32) -> Result<Vec<u8>, String> {
    let pixel = |x: u32, y: u32| [x.to_le_bytes()[0], y.to_le_bytes()[0], 0x40, 0xff];
    let pixels: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    encode(&pixels, width, height)
}

fn size(picture: &[u8]) -> Result<(u32, u32), String> {
    let (mut width, mut height) = (0, 0);
    // SAFETY: the picture and its length; two live numbers.
    let known = unsafe { c::WebPGetInfo(picture.as_ptr(), picture.len(), &raw mut width, &raw mut height) };
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) if known != 0 => Ok((width, height)),
        _ => Err("this is no WebP picture".to_owned()),
    }
}

fn fitted(width: u32, height: u32) -> (u32, u32) {
    let longer = width.max(height).max(FITS);
    let scaled = |side: u32| (side * FITS / longer).max(1);
    (scaled(width), scaled(height))
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, String> {
    let mut encoded = std::ptr::null_mut();
    // SAFETY: `height` rows of `width` times four bytes, and a live pointer that is set to what was encoded.
    let len = unsafe {
        c::WebPEncodeLosslessRGBA(pixels.as_ptr(), to_int(width), to_int(height), to_int(width * 4), &raw mut encoded)
    };
    if len == 0 || encoded.is_null() {
        return Err("the picture cannot be encoded".to_owned());
    }
    // SAFETY: the library's own allocation of this length.
    let webp = unsafe { std::slice::from_raw_parts(encoded, len) }.to_vec();
    // SAFETY: what the library allocated, once.
    unsafe { c::WebPFree(encoded.cast()) };
    Ok(webp)
}

fn to_int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
