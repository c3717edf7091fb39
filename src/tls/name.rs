//! Writes the subject of a certificate as RFC 4514 does.

use std::fmt::Write;

use super::der::{self, Reader, Value};

/// Writes a name, the last part first (RFC 4514 §2.1). Returns `None` if it is not a name.
pub(super) fn text(mut name: Reader<'_>) -> Option<String> {
    let mut parts = Vec::new();
    while !name.is_at_end() {
        parts.push(part(name.enter(der::SET)?)?);
    }
    parts.reverse();
    Some(parts.join(","))
}

/// Writes the attributes of a part in the order of their encodings, which is that of DER.
fn part(mut set: Reader<'_>) -> Option<String> {
    let mut attributes = Vec::new();
    while !set.is_at_end() {
        let next = set.value()?;
        // there is hardly ever more than one
        let at = attributes.partition_point(|other: &Value<'_>| other.whole <= next.whole);
        attributes.insert(at, next);
    }
    let texts = attributes.into_iter().map(attribute).collect::<Option<Vec<_>>>()?;
    Some(texts.join("+"))
}

/// Writes an attribute: its name and text if both are known, otherwise its number and the encoding
/// of its value.
fn attribute(value: Value<'_>) -> Option<String> {
    let mut fields = Some(value).filter(|value| value.tag == der::SEQUENCE)?.fields();
    let number = dotted(fields.expect(der::OBJECT_IDENTIFIER)?)?;
    let value = fields.value()?;
    let known = name_of(&number).zip(string(value));
    let mut out = String::new();
    if let Some((name, text)) = known {
        out.push_str(name);
        out.push('=');
        escape(text, &mut out);
    } else {
        out.push_str(&number);
        out.push_str("=#");
        for byte in value.whole {
            let _ = write!(out, "{byte:02x}");
        }
    }
    fields.is_at_end().then_some(out)
}

/// Returns the text of a value of one of the types that are text in ASCII or UTF-8.
fn string(value: Value<'_>) -> Option<&str> {
    let text = std::str::from_utf8(value.content).ok()?;
    let printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let fits = match value.tag {
        der::UTF8_STRING => true,
        der::IA5_STRING | der::TELETEX_STRING => text.is_ascii(),
        der::PRINTABLE_STRING => text.bytes().all(printable),
        _ => false,
    };
    fits.then_some(text)
}

/// Escapes a text (RFC 4514 §2.4).
fn escape(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (at, letter) in text.char_indices() {
        let _ = match letter {
            '#' if at == 0 => write!(out, "\\#"),
            ' ' if at == 0 || at == last => write!(out, "\\ "),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(out, "\\{letter}"),
            '\0'..='\x1f' | '\x7f' => write!(out, "\\{:02x}", u32::from(letter)),
            _ => write!(out, "{letter}"),
        };
    }
}

/// Writes an object identifier in decimal numbers (X.690 §8.19). Returns `None` if it is none.
fn dotted(bytes: &[u8]) -> Option<String> {
    let (mut out, mut number, mut ended) = (String::new(), 0_u32, false);
    for byte in bytes {
        number = number.checked_mul(128)? | u32::from(byte & 0x7f);
        ended = byte & 0x80 == 0;
        if ended && out.is_empty() {
            let first = (number / 40).min(2);
            let _ = write!(out, "{first}.{}", number - 40 * first);
        } else if ended {
            let _ = write!(out, ".{number}");
        }
        if ended {
            number = 0;
        }
    }
    ended.then_some(out)
}

/// Returns the name of an attribute.
fn name_of(number: &str) -> Option<&'static str> {
    NAMES.iter().find_map(|(prefix, names)| {
        let end = number.strip_prefix(prefix)?;
        names.split(' ').find_map(|row| row.strip_prefix(end)?.strip_prefix('='))
    })
}

/// The names of attributes by the numbers that begin with the prefix: X.520, the pilot schema of
/// RFC 4524, PKCS #9 and `inetOrgPerson`. The names are short, as in RFC 4519, and must not change:
/// settings refer to them.
const NAMES: &[(&str, &str)] = &[
    (
        "2.5.4.",
        "0=OBJECTCLASS 1=ALIASEDOBJECTNAME 2=KNOWLEDGEINFORMATION 3=CN 4=SN 5=SERIALNUMBER \
         6=C 7=L 7.1=C-L 8=ST 8.1=C-ST 9=STREET 9.1=C-STREET 10=O 10.1=C-O 11=OU 11.1=C-OU \
         12=TITLE 13=DESCRIPTION 14=SEARCHGUIDE 15=BUSINESSCATEGORY 16=POSTALADDRESS \
         16.1=C-POSTALADDRESS 17=POSTALCODE 17.1=C-POSTALCODE 18=POSTOFFICEBOX \
         18.1=C-POSTOFFICEBOX 19=PHYSICALDELIVERYOFFICENAME 19.1=C-PHYSICALDELIVERYOFFICE \
         20=TELEPHONENUMBER 20.1=C-TELEPHONENUMBER 21=TELEXNUMBER 21.1=C-TELEXNUMBER \
         22=TELETEXTERMINALIDENTIFIER 23=FACSIMILETELEPHONENUMBER \
         23.1=C-FACSIMILETELEPHONENUMBER 24=X121ADDRESS 25=INTERNATIONALISDNNUMBER \
         25.1=C-INTERNATIONALISDNNUMBER 26=REGISTEREDADDRESS 27=DESTINATIONINDICATOR \
         28=PREFERREDDELIVERYMETHOD 29=PRESENTATIONADDRESS 30=SUPPORTEDAPPLICATIONCONTEXT \
         31=MEMBER 32=OWNER 33=ROLEOCCUPANT 34=SEEALSO 35=USERPASSWORD 36=USERCERTIFICATE \
         37=CACERTIFICATE 38=AUTHORITYREVOCATIONLIST 39=CERTIFICATEREVOCATIONLIST \
         40=CROSSCERTIFICATEPAIR 41=NAME 42=GN 43=INITIALS 44=GENERATIONQUALIFIER \
         45=X500UNIQUEIDENTIFIER 46=DNQUALIFIER 47=ENHANCEDSEARCHGUIDE 48=PROTOCOLINFORMATION \
         49=DISTINGUISHEDNAME 50=UNIQUEMEMBER 51=HOUSEIDENTIFIER 52=SUPPORTEDALGORITHMS \
         53=DELTAREVOCATIONLIST 54=DMDNAME 65=PSEUDONYM 72=ID-AT-ROLE",
    ),
    (
        "0.9.2342.19200300.100.1.",
        "1=UID 2=TEXTENCODEDORADDRESS 3=MAIL 4=INFO 5=DRINK 6=ROOMNUMBER 7=PHOTO 8=USERCLASS \
         9=HOST 10=MANAGER 11=DOCUMENTIDENTIFIER 12=DOCUMENTTITLE 13=DOCUMENTVERSION \
         14=DOCUMENTAUTHOR 15=DOCUMENTLOCATION 20=HOMEPHONE 21=SECRETARY 22=OTHERMAILBOX \
         23=LASTMODIFIEDTIME 24=LASTMODIFIEDBY 25=DC 26=ARECORD 27=MDRECORD 28=MXRECORD \
         29=NSRECORD 30=SOARECORD 31=CNAMERECORD 37=ASSOCIATEDDOMAIN 38=ASSOCIATEDNAME \
         39=HOMEPOSTALADDRESS 40=PERSONALTITLE 41=MOBILE 42=PAGER 43=CO 44=UNIQUEIDENTIFIER \
         45=ORGANIZATIONALSTATUS 46=JANETMAILBOX 47=MAILPREFERENCEOPTION 48=BUILDINGNAME \
         49=DSAQUALITY 50=SINGLELEVELQUALITY 51=SUBTREEMINIMUMQUALITY \
         52=SUBTREEMAXIMUMQUALITY 53=PERSONALSIGNATURE 54=DITREDIRECT 55=AUDIO \
         56=DOCUMENTPUBLISHER 60=JPEGPHOTO",
    ),
    (
        "1.2.840.113549.1.9.",
        "0=PKCS-9-MO 1=EMAIL 2=PKCS-9-AT-UNSTRUCTUREDNAME 3=ID-CONTENTTYPE 4=ID-MESSAGEDIGEST \
         5=ID-SIGNINGTIME 6=ID-COUNTERSIGNATURE 7=PKCS-9-AT-CHALLENGEPASSWORD \
         8=PKCS-9-AT-UNSTRUCTUREDADDRESS 9=PKCS-9-AT-EXTENDEDCERTIFICATEATTRIBUTES \
         10=PKCS-9-AT-ISSUERANDSERIALNUMBER 11=PKCS-9-AT-PASSWORDCHECK 12=PKCS-9-AT-PUBLICKEY \
         13=PKCS-9-AT-SIGNINGDESCRIPTION 14=ID-EXTENSIONREQ 15=SMIMECAPABILITIES \
         20=PKCS-9-AT-FRIENDLYNAME 21=PKCS-9-AT-LOCALKEYID 25=PKCS-9-AT \
         25.1=PKCS-9-AT-PKCS15TOKEN 25.2=PKCS-9-AT-ENCRYPTEDPRIVATEKEYINFO \
         25.3=PKCS-9-AT-RANDOMNONCE 25.4=PKCS-9-AT-SEQUENCENUMBER 25.5=PKCS-9-AT-PKCS7PDU \
         52=ID-AA-CMSALGORITHMPROTECT",
    ),
    (
        "1.3.6.1.5.5.7.9.",
        "1=PKCS-9-AT-DATEOFBIRTH 2=PKCS-9-AT-PLACEOFBIRTH 3=PKCS-9-AT-GENDER \
         4=PKCS-9-AT-COUNTRYOFCITIZENSHIP 5=PKCS-9-AT-COUNTRYOFRESIDENCE",
    ),
    (
        "2.16.840.1.113730.3.1.",
        "1=CARLICENSE 2=DEPARTMENTNUMBER 3=EMPLOYEENUMBER 4=EMPLOYEETYPE 34=REF \
         39=PREFERREDLANGUAGE 40=USERSMIMECERTIFICATE 216=USERPKCS12 241=DISPLAYNAME",
    ),
    ("1.3.6.1.4.1.250.1.", "57=LABELEDURI"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        assert_eq!(dotted(&[0x55, 4, 3]).unwrap(), "2.5.4.3");
        let pilot = [9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
        assert_eq!(dotted(&pilot).unwrap(), "0.9.2342.19200300.100.1.1");
        assert_eq!(dotted(&[0x88, 0x37, 3]).unwrap(), "2.999.3");
        for wrong in [&[][..], &[0x55, 0x84], &[0x55, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(dotted(wrong), None, "{wrong:x?}");
        }
    }

    #[test]
    fn only_whole_numbers_have_a_name() {
        assert_eq!(name_of("2.5.4.3"), Some("CN"));
        assert_eq!(name_of("2.5.4.1"), Some("ALIASEDOBJECTNAME"));
        assert_eq!(name_of("1.2.840.113549.1.9.1"), Some("EMAIL"));
        assert_eq!(name_of("0.9.2342.19200300.100.1.25"), Some("DC"));
        for unknown in ["2.5.4.", "2.5.4", "2.5.4.99", "2.5.4.3.1", "1.2"] {
            assert_eq!(name_of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn special_characters_are_escaped() {
        let escaped = |text| {
            let mut out = String::new();
            escape(text, &mut out);
            out
        };
        assert_eq!(escaped(" a #b "), "\\ a #b\\ ");
        assert_eq!(escaped("#1, \"2\""), "\\#1\\, \\\"2\\\"");
        assert_eq!(escaped("a\0\u{7f}ü"), "a\\00\\7fü");
        assert_eq!(escaped(" "), "\\ ");
    }

    #[test]
    fn a_name_begins_with_its_last_part() {
        // O=a, then OU=b and CN=ü in one part, then an unknown attribute
        let name = [
            &[0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 10, 0x13, 1, b'a'][..],
            &[0x31, 21, 0x30, 8, 6, 3, 0x55, 4, 11, 0x16, 1, b'b'],
            &[0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, 0xc3, 0xbc],
            &[0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 99, 0x0c, 1, b'c'],
        ];
        let written = text(Reader::new(&name.concat())).unwrap();
        assert_eq!(written, "2.5.4.99=#0c0163,OU=b+CN=ü,O=a");
        assert_eq!(text(Reader::new(&[])).unwrap(), "");
        assert_eq!(text(Reader::new(&[0x30, 0])), None);
    }

    #[test]
    fn a_text_with_letters_that_its_type_does_not_have_is_written_as_bytes() {
        let underscore = [0x31, 10, 0x30, 8, 6, 3, 0x55, 4, 3, 0x13, 1, b'_'];
        assert_eq!(text(Reader::new(&underscore)).unwrap(), "2.5.4.3=#13015f");
    }
}
